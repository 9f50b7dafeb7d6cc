"""Checkpoints and progress of a run."""

import logging
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import (
    Callback,
    EarlyStopping,
    EMAWeightAveraging,
    ModelCheckpoint,
)

from sola.config.progress import Advance, progress
from sola.config.schema import TrainerConfig
from sola.training.module import SelectorModule
from sola.training.resuming import LastCheckpoint, Resumption
from sola.training.scoring import (
    VALID_F,
    VALID_J,
    VALID_JF,
    VALID_JF_BEST,
    VALID_ORACLE_JF,
    VALID_THRESHOLD_BEST,
)

log = logging.getLogger(__name__)

BEST_FILE, LAST_FILE = "best.ckpt", "last.ckpt"
LEARNING_RATE = "train/lr"


def make_checkpoints(output_dir: Path, config: TrainerConfig) -> list[Callback]:
    """Keeps best.ckpt (weights of the best valid/J&F) and last.ckpt (all, to resume from).

    Args:
        output_dir: folder of the run.
        config: how often last.ckpt is written. Where weights are averaged, best.ckpt holds all,
            too: Lightning puts the average only into whole checkpoints.
    """
    best = ModelCheckpoint(
        dirpath=output_dir,
        filename=Path(BEST_FILE).stem,
        monitor=VALID_JF,
        mode="max",
        save_weights_only=config.ema_decay is None,
        enable_version_counter=False,
    )
    if config.fast_dev_run:
        return [best]
    last = LastCheckpoint(
        output_dir / LAST_FILE,
        every_n_steps=config.checkpoint_every_n_steps,
        every_n_minutes=config.checkpoint_every_n_minutes,
    )
    return [best, Resumption(), last]


def make_options(config: TrainerConfig) -> list[Callback]:
    """What a configuration may ask for: an early end, averaged weights."""
    options: list[Callback] = []
    if config.ema_decay is not None:
        # buffers are constants, which an average would round
        options.append(EMAWeightAveraging(decay=config.ema_decay, use_buffers=False))
    if config.early_stopping_patience is not None:
        options.append(
            EarlyStopping(
                VALID_JF,
                patience=config.early_stopping_patience,
                mode="max",
                check_on_train_epoch_end=False,
            )
        )
    return options


class StepMetrics(Callback):
    """Logs losses and learning rate of an optimiser step in one row, now and then.

    Lightning's own rows come after ``on_train_batch_end``, in which last.ckpt is written: a run
    that dies behind it would lack them.

    Args:
        every_n_steps: optimiser steps from one row to the next.
    """

    def __init__(self, every_n_steps: int) -> None:
        self.every_n_steps = every_n_steps
        self._rate = float("nan")

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, *unused: Any
    ) -> None:
        """Notes the step's rate: schedules move on before it ends."""
        self._rate = trainer.optimizers[0].param_groups[0]["lr"]

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, *unused: Any
    ) -> None:
        """Logs the row, if one is due."""
        is_step = not trainer.fit_loop._should_accumulate()
        if is_step and trainer.global_step % self.every_n_steps == 0:
            assert isinstance(pl_module, SelectorModule)
            row = {LEARNING_RATE: self._rate, "epoch": trainer.current_epoch}
            row |= {name: float(value) for name, value in pl_module.step_metrics.items()}
            for logger in trainer.loggers:
                logger.log_metrics(row, step=trainer.global_step - 1)


class TrainingProgress(Callback):
    """Time left of the whole run, and a line with the numbers of every validation."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._advance: Advance | None = None
        self._steps = 0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Starts the bar, or the lines where there is no terminal."""
        if not trainer.is_global_zero:
            return
        total = int(trainer.estimated_stepping_batches) - trainer.global_step
        self._steps = trainer.global_step
        self._advance = self._stack.enter_context(progress("training", max(total, 1)))

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, *unused: Any
    ) -> None:
        """Moves on by one optimiser step."""
        if self._advance is not None and trainer.global_step > self._steps:
            self._steps = trainer.global_step
            self._advance(f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}")

    def on_validation_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        *unused: Any,
    ) -> None:
        """Says how far a validation is."""
        if self._advance is not None:
            self._advance(f"validation {batch_idx + 1}/{trainer.num_val_batches[0]}", steps=0)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Says how good the selector is."""
        if trainer.sanity_checking or not trainer.is_global_zero:
            return
        metrics = trainer.callback_metrics
        log.info(
            "epoch %d/%s: valid loss %.4f, J %.1f, F %.1f, J&F %.1f (%.1f at threshold %g, "
            "oracle %.1f)",
            trainer.current_epoch + 1,
            trainer.max_epochs,
            metrics.get("valid/loss", float("nan")),
            *(100 * float(metrics[name]) for name in (VALID_J, VALID_F, VALID_JF, VALID_JF_BEST)),
            round(float(metrics[VALID_THRESHOLD_BEST]), 2),  # of a float32
            100 * float(metrics[VALID_ORACLE_JF]),
        )

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Ends the bar."""
        self._stack.close()

    def on_exception(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException
    ) -> None:
        """Ends the bar, so that the message stands below it."""
        self._stack.close()
