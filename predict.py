"""Answers expressions of a split, or about a video of your own, with masks and overlays.

python predict.py --help
"""

from sola.config import main
from sola.config.schema import PredictConfig


def task(config: PredictConfig) -> None:
    """Imports what is heavy only now, after the configuration is known to be right."""
    if config.video is not None:
        from sola.clip.run import run_clip

        run_clip(config)
        return
    from sola.reporting.predict import run_predict

    run_predict(config)


if __name__ == "__main__":
    main("predict", PredictConfig, task)
