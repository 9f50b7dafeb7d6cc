"""One way to log for every logger: each gets numbers, and of the rest what it can show."""

from collections.abc import Mapping

from pytorch_lightning.loggers import Logger

from sola.visualization.dashboard.tensorboard import TensorBoardRun, show_in_tensorboard
from sola.visualization.dashboard.values import Artifact, Value
from sola.visualization.dashboard.wandb_run import WandbRun


class Board:
    """What goes to a logger; for the first process of a run alone.

    Args:
        logger: CSV gets numbers; TensorBoard histograms, and pictures of curves and videos, too;
            W&B everything.
    """

    def __init__(self, logger: Logger) -> None:
        self.logger = logger

    @property
    def shows_pictures(self) -> bool:
        """Whether it is worth drawing any."""
        return isinstance(self.logger, WandbRun | TensorBoardRun)

    def log(self, values: Mapping[str, Value], step: int) -> None:
        """Logs values of a step, by their names."""
        numbers = {name: value for name, value in values.items() if isinstance(value, int | float)}
        rest = {name: value for name, value in values.items() if name not in numbers}
        if isinstance(self.logger, WandbRun):
            self.logger.show({**numbers, **rest}, step)
            return
        self.logger.log_metrics(numbers, step=step)
        if isinstance(self.logger, TensorBoardRun):
            show_in_tensorboard(self.logger.experiment, rest, step)

    def take(self, artifact: Artifact) -> None:
        """Records what the run works on (W&B)."""
        if isinstance(self.logger, WandbRun):
            self.logger.record(artifact, is_input=True)

    def make(self, artifact: Artifact, *, keep_copy: bool = False) -> None:
        """Records what the run has made (W&B).

        Args:
            artifact: what it is.
            keep_copy: the file itself is kept with the run, and uploaded; else the path of it.
        """
        if isinstance(self.logger, WandbRun):
            self.logger.record(artifact, is_input=False, keep_copy=keep_copy)
