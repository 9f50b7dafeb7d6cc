"""Callbacks of a training run: checkpoints, exact resume, weight averaging, progress bar."""

import logging
import math
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import (
    Callback,
    Checkpoint,
    EarlyStopping,
    EMAWeightAveraging,
    ModelCheckpoint,
    WeightAveraging,
)
from pytorch_lightning.plugins.io import TorchCheckpointIO

from sola.checks import above, at_least, between
from sola.config.console import Advance, progress
from sola.config.processes import is_first_process
from sola.errors import UserError
from sola.files import is_there, whole_file
from sola.selector import Selector
from sola.selector.base import PROVENANCE_KEY
from sola.training import scoring
from sola.training.module import MAX_STEPS, VALID_LOSS, SelectorModule
from sola.weights_file import read_weights

log = logging.getLogger(__name__)

BEST_FILE, LAST_FILE = "best.ckpt", "last.ckpt"
LAST_NEEDED = f"Use the run's {LAST_FILE}."


class WholeFileIO(TorchCheckpointIO):
    """Writes checkpoints atomically: a file is complete or absent, even if the process dies.

    Lightning writes to the system's temporary folder first, and moving a file from there to another
    disk is not atomic.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None
    ) -> None:
        """Write to a temporary file in the same folder, then rename it."""
        with whole_file(Path(path)) as unfinished:
            torch.save(checkpoint, unfinished)


class BestCheckpoint(ModelCheckpoint):
    """Keeps best.ckpt: the weights with the best value of a logged metric.

    Args:
        dirpath: folder of the run.
        monitor: name of the metric.
        mode: max or min.
    """

    def __init__(self, dirpath: str | Path, monitor: str, mode: str) -> None:
        options: dict[str, Any] = {"save_weights_only": True, "enable_version_counter": False}
        super().__init__(dirpath, Path(BEST_FILE).stem, monitor, mode=mode, **options)

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Save full checkpoints if weights are averaged: Lightning saves averages only in those."""
        averages = any(isinstance(each, WeightAveraging) for each in trainer.callbacks)  # type: ignore[attr-defined]
        self.save_weights_only = not averages
        super().setup(trainer, pl_module, stage)


class LastCheckpoint(Checkpoint):
    """Writes last.ckpt, which holds all that a run needs to resume, after and within epochs.

    Args:
        dirpath: folder of the run.
        every_n_steps: optimiser steps between checkpoints within an epoch; None: do not count
            steps.
        every_n_minutes: minutes between checkpoints within an epoch; None: do not count minutes.
    """

    def __init__(
        self, dirpath: str | Path, every_n_steps: int | None, every_n_minutes: float | None
    ) -> None:
        at_least(1, every_n_steps=every_n_steps)
        above(0, every_n_minutes=every_n_minutes)
        self.path = Path(dirpath) / LAST_FILE
        self.every_n_steps, self.every_n_minutes = every_n_steps, every_n_minutes
        self._step, self._is_pending = 0, False
        self._saved_at, self._saved_step, self._next_check = time.monotonic(), 0, 0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the clock; remove unfinished files of a killed run."""
        self._step = trainer.global_step
        self._start_interval(trainer)
        if trainer.is_global_zero:
            for unfinished in self.path.parent.glob("*.part"):
                unfinished.unlink()

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, *step: Any
    ) -> None:
        """Save between two optimiser steps of an epoch, if no validation comes between them.

        A run resumed from there would skip the validation. The last step of an epoch is saved by
        ``on_train_epoch_end``. ``step`` is (outputs, batch, batch index).
        """
        is_step, self._step = trainer.global_step > self._step, trainer.global_step
        if not is_step or trainer.is_last_batch:
            return
        self._is_pending = self._is_pending or self._is_due(trainer)
        by_epoch = trainer.check_val_every_n_epoch is not None
        position = step[2] if by_epoch else trainer.fit_loop.total_batch_idx
        interval = trainer.val_check_batch or math.inf
        is_validated = (position + 1) % interval == 0
        if self._is_pending and not is_validated:
            self._save(trainer)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save the result of an epoch, including its validation."""
        self._save(trainer)

    def _is_due(self, trainer: pl.Trainer) -> bool:
        if self.every_n_steps and trainer.global_step % self.every_n_steps == 0:
            return True
        if self.every_n_minutes is None or trainer.global_step < self._next_check:
            return False
        # clocks differ, but all must save at once: the first process's decides
        num_steps = int(trainer.strategy.broadcast(self._steps_to_next_check(trainer.global_step)))
        self._next_check = trainer.global_step + num_steps
        return num_steps == 0

    def _steps_to_next_check(self, step: int) -> int:
        """Return the steps of half the remaining time, so that few steps compare clocks; 0: due."""
        elapsed = time.monotonic() - self._saved_at
        remaining = 60 * (self.every_n_minutes or 0) - elapsed
        if remaining <= 0:
            return 0
        return max(1, int((step - self._saved_step) * remaining / elapsed / 2))

    def _start_interval(self, trainer: pl.Trainer) -> None:
        self._saved_at, self._is_pending = time.monotonic(), False
        self._saved_step = self._next_check = trainer.global_step

    def _save(self, trainer: pl.Trainer) -> None:
        if trainer.fast_dev_run:  # type: ignore[attr-defined]
            return
        for logger in trainer.loggers:  # first: a resumed run does not log these rows again
            logger.save()
        trainer.save_checkpoint(self.path)
        self._start_interval(trainer)


class Resumption(Callback):
    """Makes a resumed run match an uninterrupted one where Lightning does not.

    Args:
        seed: seed of the run. The random numbers of a step, such as those of dropout, depend only
            on the seed, the step and the rank, not on earlier draws.
    """

    def __init__(self, seed: int) -> None:
        self.seed, self._is_between_epochs = seed, False

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Seed the step."""
        step = (self.seed, trainer.current_epoch, batch_idx, trainer.global_rank)
        torch.manual_seed(int(np.random.SeedSequence(step).generate_state(1)[0]))

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Mark an epoch that was saved in its last hook as completed.

        Otherwise Lightning would repeat the end of the epoch without steps, and count it twice.
        """
        epochs = checkpoint["loops"]["fit_loop"]["epoch_progress"]
        self._is_between_epochs = epochs["current"]["processed"] == epochs["current"]["ready"]
        if self._is_between_epochs:
            for part in ("total", "current"):
                epochs[part]["completed"] = epochs[part]["processed"]

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Begin with the next epoch; stop again if early stopping had stopped the run."""
        if self._is_between_epochs:  # else Lightning takes the next epoch for the end of this one
            trainer.fit_loop.epoch_loop.restarting = False
        stopping = trainer.early_stopping_callback
        if isinstance(stopping, EarlyStopping) and stopping.wait_count >= stopping.patience:
            trainer.should_stop = True


def find_checkpoint(
    output_dir: Path, ckpt_path: str | None, *, resume: bool, is_dry: bool
) -> Path | None:
    """Return the checkpoint to resume from; None: start from the beginning.

    Raises:
        UserError: if the folder holds a run that would be overwritten.
    """
    last = output_dir / LAST_FILE
    if resume and is_there(last):
        return last
    path = None if ckpt_path is None else Path(ckpt_path)
    if is_dry or not is_first_process() or (path and path.absolute() == last.absolute()):
        return path
    # a run that was killed before its first last.ckpt may have a metrics.csv
    for name in [BEST_FILE] if resume else [LAST_FILE, BEST_FILE, "metrics.csv"]:
        if is_there(output_dir / name):
            fix = f"{LAST_FILE} is missing, move it away" if resume else "Add resume=true"
            raise UserError(
                f"{output_dir}: holds {name} of a run. {fix}, or choose another hydra.run.dir."
            )
    return path


def check_resume(path: Path, selector: Selector) -> int:
    """Return the number of steps of a checkpoint, which must be a last.ckpt of the same network.

    Raises:
        UserError: if it is not such a file.
    """
    content = read_weights(path, is_checked=True, remedy=LAST_NEEDED)
    provenance = content.get(PROVENANCE_KEY) if isinstance(content, dict) else None
    if provenance is None:
        raise UserError(f"{path}: not a checkpoint of train.py. {LAST_NEEDED}")
    for key, wanted in selector.description.items():
        own = provenance["selector"].get(key)
        if own != wanted and "dropout" not in key:
            raise UserError(
                f"{path}: its selector has {key}={own}, this run requests selector.{key}={wanted}. "
                "Resume with the configuration that the run was started with."
            )
    if "optimizer_states" not in content:
        raise UserError(f"{path}: has no optimizer state to resume from. {LAST_NEEDED}")
    return int(content["global_step"])


def early_stopping(
    patience: int | None, monitor: str, mode: str, min_delta: float
) -> EarlyStopping | None:
    """Return Lightning's EarlyStopping, checked at validations; None if ``patience`` is None.

    Args:
        patience: validations without improvement after which the run stops.
        monitor: name of a logged metric.
        mode: max or min.
        min_delta: smallest change that counts as better.
    """
    at_least(1, patience=patience)
    if patience is None:
        return None
    # an epoch may end without a validation
    return EarlyStopping(monitor, min_delta, patience, mode=mode, check_on_train_epoch_end=False)


def weight_averaging(decay: float | None) -> EMAWeightAveraging | None:
    """Return a callback that averages the weights exponentially; None if ``decay`` is None.

    The averaged weights are validated and saved.

    Args:
        decay: weight of the old average at each step, in [0, 1].

    Raises:
        UserError: if ``decay`` is out of range.
    """
    between(0, 1, decay=decay)
    # buffers are constants; averaging would round them
    return None if decay is None else EMAWeightAveraging(decay=decay, use_buffers=False)


class TrainingProgress(Callback):
    """Progress bar of training with the time left, and one log line per validation.

    Without a terminal, log lines at intervals replace the bar.
    """

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._advance: Advance | None = None
        self._step = 0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the bar, or the log lines if there is no terminal."""
        if not trainer.is_global_zero:
            return
        self._step = trainer.global_step
        if self._step:
            log.info("resumed at epoch %d, step %d", trainer.current_epoch + 1, self._step)
        total = max(int(min(trainer.estimated_stepping_batches, MAX_STEPS)), self._step + 1)
        self._advance = self._stack.enter_context(progress("training", total, done=self._step))

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, *unused: Any
    ) -> None:
        """Advance by one optimiser step, and show the last loss that the module read."""
        if self._advance is None or trainer.global_step == self._step:
            return
        self._step = trainer.global_step
        assert isinstance(pl_module, SelectorModule)
        loss = pl_module.last_loss
        shown = "" if loss is None else f", loss {loss:.3f}"
        self._advance(f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}{shown}")

    def on_validation_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, *step: Any
    ) -> None:
        """Show the progress of a validation; ``step`` is (outputs, batch, batch index)."""
        if self._advance is not None:
            self._advance(f"validation {step[2] + 1}/{trainer.num_val_batches[0]}", steps=0)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Log the metrics of the validation."""
        if trainer.sanity_checking or not trainer.is_global_zero:
            return
        metrics = {name: float(value) for name, value in trainer.callback_metrics.items()}
        names = (scoring.VALID_J, scoring.VALID_F, scoring.VALID_JF, scoring.VALID_JF_BEST)
        log.info(
            "epoch %d/%s: valid loss %.4f, J %.1f, F %.1f, J&F %.1f (%.1f at threshold %g, "
            "oracle %.1f)",
            trainer.current_epoch + 1,
            trainer.max_epochs,
            metrics.get(VALID_LOSS, float("nan")),
            *(100 * metrics[name] for name in names),
            round(metrics[scoring.VALID_THRESHOLD_BEST], 2),  # it passed through float32
            100 * metrics[scoring.VALID_ORACLE_JF],
        )

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """End the bar."""
        self._stack.close()

    def on_exception(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException
    ) -> None:
        """End the bar, so that the message appears below it."""
        self._stack.close()
