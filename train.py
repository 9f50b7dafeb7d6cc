"""Trains a selector on the tracks of a dataset.

python train.py --help
"""

from sola.config import main
from sola.config.schema import TrainConfig


def task(config: TrainConfig) -> None:
    """Imports what is heavy only now, after the configuration is known to be right."""
    from sola.training.run import run_training

    run_training(config)


if __name__ == "__main__":
    main("train", TrainConfig, task)
