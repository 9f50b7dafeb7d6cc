"""A folder that shows an evaluation in any browser: numbers, plots, and a gallery of answers."""

from sola.reporting.report.run import REPORT_DIR, run_report

__all__ = ["REPORT_DIR", "run_report"]
