"""A folder that shows an evaluation in any browser: numbers, plots, and a gallery of answers."""

from sola.visualization.report.run import REPORT_DIR, check_other_run, run_report

__all__ = ["REPORT_DIR", "check_other_run", "run_report"]
