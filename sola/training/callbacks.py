"""The best checkpoint, early stopping, averaged weights, logged steps and progress of a run."""

import logging
import re
import time
from collections import defaultdict
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import (
    Callback,
    EarlyStopping,
    EMAWeightAveraging,
    ModelCheckpoint,
    WeightAveraging,
)
from torch import Tensor, nn
from torch.nn.utils import get_total_norm
from torch.optim import Optimizer

from sola.checks import at_least, between
from sola.config.progress import Advance, progress
from sola.training import scoring
from sola.training.module import MAX_STEPS, VALID_LOSS, SelectorModule
from sola.training.resuming import BEST_FILE

log = logging.getLogger(__name__)

LOSS_EVERY_S = 1.0


class BestCheckpoint(ModelCheckpoint):
    """Keeps best.ckpt: the weights with the best value of a logged metric.

    Args:
        dirpath: folder of the run.
        monitor: the metric.
        mode: max or min.
    """

    def __init__(self, dirpath: str | Path, monitor: str, mode: str) -> None:
        options: dict[str, Any] = {"save_weights_only": True, "enable_version_counter": False}
        super().__init__(dirpath, Path(BEST_FILE).stem, monitor, mode=mode, **options)

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Keep everything where weights are averaged: Lightning saves averages only that way."""
        averages = any(isinstance(each, WeightAveraging) for each in trainer.callbacks)  # type: ignore[attr-defined]
        self.save_weights_only = not averages
        super().setup(trainer, pl_module, stage)


def early_stopping(
    patience: int | None, monitor: str, mode: str, min_delta: float
) -> EarlyStopping | None:
    """Lightning's EarlyStopping on validations; None without patience.

    Args:
        patience: validations without a better value.
        monitor: a logged metric.
        mode: max or min.
        min_delta: smallest change that counts as better.
    """
    at_least(1, patience=patience)
    if patience is None:
        return None
    # not at the end of an epoch, which may lack a validation
    return EarlyStopping(monitor, min_delta, patience, mode=mode, check_on_train_epoch_end=False)


def weight_averaging(decay: float | None) -> EMAWeightAveraging | None:
    """Exponential moving average of the weights, which is validated and saved; None without decay.

    Args:
        decay: share of the average that stays at a step, in [0, 1].

    Raises:
        UserError: if it is out of range.
    """
    between(0, 1, decay=decay)
    # buffers are constants, which an average would round
    return None if decay is None else EMAWeightAveraging(decay=decay, use_buffers=False)


class StepMetrics(Callback):
    """Logs losses, learning rate and gradient norms of an optimiser step in one row, now and then.

    Lightning logs after ``on_train_batch_end``, in which last.ckpt is written: a run that dies
    between the two would lack a row.

    Args:
        every_n_steps: optimiser steps from one row to the next.
    """

    def __init__(self, every_n_steps: int) -> None:
        self.every_n_steps = every_n_steps

    def on_before_optimizer_step(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, optimizer: Optimizer
    ) -> None:
        """Log the row, if one is due; gradients are those of all devices, before clipping."""
        step = trainer.global_step
        if (step + 1) % self.every_n_steps or not trainer.is_global_zero:
            return
        assert isinstance(pl_module, SelectorModule)
        row = {"train/lr": optimizer.param_groups[0]["lr"], "epoch": trainer.current_epoch}
        row |= {name: float(value) for name, value in pl_module.step_metrics.items()}
        row |= gradient_norms(pl_module.selector)
        for logger in trainer.loggers:
            logger.log_metrics(row, step=step)


def gradient_norms(selector: nn.Module) -> dict[str, float]:
    """Return the L2 norms of the gradients of each part, such as ``layers.0``, and of all parts.

    Args:
        selector: after a backward pass.
    """
    parts: dict[str, list[Tensor]] = defaultdict(list)
    for name, parameter in selector.named_parameters():
        if parameter.grad is not None and parameter.numel() > 0:
            parts[re.sub(r"^(\w+(\.\d+)?).*", r"\1", name)].append(parameter.grad)
    norms = [get_total_norm(grads) for grads in parts.values()]
    values = torch.stack([*norms, get_total_norm(norms)]).tolist()
    return dict(zip((f"grad_norm/{part}" for part in [*parts, "all"]), values, strict=True))


class TrainingProgress(Callback):
    """A bar, or now and then a line, with the time left, and a line for every validation."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._advance: Advance | None = None
        self._step = 0
        self._loss, self._read_at = "", 0.0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the bar, or the lines where there is no terminal."""
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
        """Advance by an optimiser step, with a recent loss: reading it waits for the device."""
        if self._advance is None or trainer.global_step == self._step:
            return
        self._step = trainer.global_step
        now = time.monotonic()
        if now - self._read_at >= LOSS_EVERY_S:
            assert isinstance(pl_module, SelectorModule)
            loss = float(pl_module.step_metrics["train/loss_step"])
            self._loss, self._read_at = f", loss {loss:.3f}", now
        self._advance(f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}{self._loss}")

    def on_validation_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, *step: Any
    ) -> None:
        """Show how far a validation is; ``step`` is outputs, batch and its place."""
        if self._advance is not None:
            self._advance(f"validation {step[2] + 1}/{trainer.num_val_batches[0]}", steps=0)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Report how good the selector is."""
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
            round(metrics[scoring.VALID_THRESHOLD_BEST], 2),  # of a float32
            100 * metrics[scoring.VALID_ORACLE_JF],
        )

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """End the bar."""
        self._stack.close()

    def on_exception(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException
    ) -> None:
        """End the bar, so that the message stands below it."""
        self._stack.close()
