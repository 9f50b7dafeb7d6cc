"""Answers the expressions of a split with masks and overlay pictures.

python predict.py --help
"""

from sola.config import main
from sola.config.schema import PredictConfig


def task(config: PredictConfig) -> None:
    """Imports what is heavy only now, after the configuration is known to be right."""
    from sola.reporting.predict import run_predict

    run_predict(config)


if __name__ == "__main__":
    main("predict", PredictConfig, task)
