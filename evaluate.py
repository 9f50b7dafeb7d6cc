"""Measures a trained selector, or the masks of any system, on a split with ground truth.

python evaluate.py --help
"""

from sola.config import main
from sola.config.schema import EvaluateConfig


def task(config: EvaluateConfig) -> None:
    """Imports what is heavy only now, after the configuration is known to be right."""
    if config.predictions is None:
        from sola.evaluation.run import run_evaluation

        if config.report:
            from sola.reporting.report import check_other_run, run_report

            check_other_run(config)
        evaluation = run_evaluation(config)
        if config.report:
            run_report(config, evaluation)
    else:
        from sola.reporting.score_predictions import run_scoring

        run_scoring(config)


if __name__ == "__main__":
    main("evaluate", EvaluateConfig, task)
