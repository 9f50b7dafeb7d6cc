"""The LightningModule of the selector: loss, J&F of the selected union, checkpoints' provenance."""

import logging
from collections.abc import Callable, Mapping
from itertools import chain
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import ReduceLROnPlateau

from sola.errors import UserError, did_you_mean
from sola.selector import Loss, Selector
from sola.selector.base import PROVENANCE_KEY
from sola.selector.losses import BatchLoss, LossInputs, SelectorOutputs, combine_terms
from sola.training.batch import Batch
from sola.training.finite import REMEDY, LossCheck
from sola.training.means import RunningMeans
from sola.training.optimization import make_schedules
from sola.training.scoring import ScoredBatch, ThresholdMeans, ValidationScorer

POSITIVES = "train/positives"
"""Tracks that an expression refers to, on average."""
TOTAL = "loss"
SCORED = "scored"
MAX_STEPS = 1 << 40
"""Stands for the steps of a run without an end."""
MEANS_KEY = "train_means"
"""Of a checkpoint: the means of the epoch so far."""

log = logging.getLogger(__name__)


class SelectorModule(pl.LightningModule):
    """Trains a selector.

    Args:
        selector: the network.
        loss: its terms are weighted, summed and logged.
        optimizer: parameters -> optimiser.
        scheduler: optimiser -> learning rate schedule, see ``make_schedules``; None: none.
        scorer: of the validation split.
        threshold: a track is selected when its score is above this.
        provenance: plain values that checkpoints carry, see ``load_selector``.
    """

    def __init__(
        self,
        selector: Selector,
        loss: Loss,
        optimizer: Callable[..., Optimizer],
        scheduler: Callable[..., Any] | None,
        scorer: ValidationScorer,
        *,
        threshold: float = 0.5,
        provenance: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.selector, self.loss, self.scorer = selector, loss, scorer
        self.make_optimizer, self.make_scheduler = optimizer, scheduler
        self.threshold, self.provenance = threshold, dict(provenance or {})
        names = (TOTAL, *loss.weights)
        self._train_means = RunningMeans(*names, POSITIVES)
        self._valid_means = RunningMeans(*names)
        self._thresholds = ThresholdMeans(threshold)
        self._metrics: dict[str, float] = {}
        self._check = LossCheck()
        self.step_metrics: dict[str, Tensor | float] = {}
        """Of the last step, scalars: what ``StepMetrics`` logs."""

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """This process' part of the step's loss.

        The mean of all processes' parts, and so of their gradients, is that of the step's
        expressions that have tracks, whichever process has them.

        Raises:
            UserError: if a loss is not finite, in every process; see ``LossCheck``.
        """
        loss = self.compute(batch)[0] if any(batch.num_tracks) else self._no_loss()
        step = RunningMeans(*self._train_means.names)
        num_own = _add_losses(step, loss, batch)
        num_rows = len(batch.labels)
        step.add({POSITIVES: batch.labels.sum() / max(num_rows, 1)}, num_rows)
        num_processes = step.gather(self.device)
        self._train_means.add_all(step)
        means = step.means()
        if TOTAL in means:
            self._check.add(self.global_step, means[TOTAL], loss, batch.expressions)
        self.step_metrics = {
            f"train/{name}_step": mean for name, mean in means.items() if name != POSITIVES
        }
        return loss.total * (num_processes * num_own / max(step.count(TOTAL), 1))

    def on_train_epoch_start(self) -> None:
        """Starts the epoch's means."""
        self._train_means.reset()

    def on_train_epoch_end(self) -> None:
        """Logs means; warns where not one track is meant by any expression: nothing to learn."""
        metrics = self._train_metrics()
        self.log_dict(metrics, logger=False)
        row = {"epoch": self.current_epoch} | {k: float(v) for k, v in metrics.items()}
        for logger in self.loggers:  # Lightning would do so after last.ckpt is written
            logger.log_metrics(row, step=self.global_step - 1)
        loader = self.trainer.train_dataloader
        is_whole = loader is not None and self.trainer.num_training_batches == len(loader)
        if self.current_epoch == 0 and is_whole and metrics[POSITIVES] == 0:
            log.warning(
                "no track of the training split overlaps an expression's objects by more than "
                "data.label_iou: every label is negative. Check the tracks: tracker, its "
                "checkpoint, prompt sources."
            )

    def on_validation_epoch_start(self) -> None:
        """Begins anew; the update of nothing is for a process that gets no expressions.

        Raises:
            UserError: if a loss before it is not finite.
        """
        self._check.check()
        self._valid_means.reset()
        self._thresholds.reset()
        self._thresholds.update([], [])

    def validation_step(self, batch: Batch, batch_idx: int) -> dict[str, ScoredBatch] | None:
        """Adds up loss, and J and F of the unions of selected tracks by threshold.

        Returns:
            What it found, under ``SCORED``, for callbacks; None without expressions.
        """
        if not batch.expressions:
            return None  # other processes have one more video
        loss, logits = self.compute(batch)
        _add_losses(self._valid_means, loss, batch)
        scores = logits.float().sigmoid().cpu().numpy()
        rows = [row[:count] for row, count in zip(scores, batch.num_tracks, strict=True)]
        thresholds = sorted(set(self._thresholds.thresholds))
        curves = self.scorer.trace(batch.expressions, rows, thresholds=thresholds)
        oracles = [self.scorer.oracle(e) for e in batch.expressions]
        self._thresholds.update(curves, oracles)
        labels = batch.labels.cpu().numpy()
        meant = [row[:count] for row, count in zip(labels, batch.num_tracks, strict=True)]
        return {SCORED: ScoredBatch(batch.expressions, rows, meant, curves, oracles)}

    def on_validation_epoch_end(self) -> None:
        """Logs the means over all processes' expressions."""
        self._valid_means.gather(self.device)
        means = self._valid_means.means()
        self.log_dict({f"valid/{name}": value for name, value in means.items()})
        self.log_dict(self._thresholds.compute())

    def on_validation_end(self) -> None:
        """Moves plateau schedules on: Lightning would do so after last.ckpt is written."""
        if self.trainer.sanity_checking:
            return
        metrics = self.trainer.callback_metrics
        for config in self.trainer.lr_scheduler_configs:
            if isinstance(config.scheduler, ReduceLROnPlateau):
                monitor = str(config.monitor)
                if monitor not in metrics:
                    hint = did_you_mean(monitor, list(metrics))
                    raise UserError(f"scheduler: its monitor {monitor} is not logged.{hint}")
                config.scheduler.step(metrics[monitor])

    def lr_scheduler_step(self, scheduler: Any, metric: Any) -> None:
        """Moves the other schedules on."""
        if not isinstance(scheduler, ReduceLROnPlateau):
            super().lr_scheduler_step(scheduler, metric)

    def configure_optimizers(self) -> Any:
        """The configured optimiser and its schedules."""
        optimizer = self.make_optimizer(self.parameters())
        if self.make_scheduler is None:
            return optimizer
        num_steps = int(min(self.trainer.estimated_stepping_batches, MAX_STEPS))
        return [optimizer], make_schedules(self.make_scheduler, optimizer, num_steps)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Adds what the weights are, in plain types, so that they load with weights_only.

        Raises:
            UserError: if a weight or a loss is not finite; the file stays as it is.
        """
        self._check.check()
        # of an average of weights, and of those that are averaged
        for name, weight in chain(checkpoint["state_dict"].items(), self.named_parameters()):
            if not weight.isfinite().all():
                raise UserError(
                    f"step {self.global_step}: the weight {name} is NaN or infinite. {REMEDY}"
                )
        metrics = self.trainer.callback_metrics | self._train_metrics()
        self._metrics |= {
            name: float(value) for name, value in metrics.items() if bool(value.isfinite())
        }
        checkpoint[PROVENANCE_KEY] = {
            **self.provenance,
            "selector": self.selector.description,
            "threshold": self.threshold,
            "epoch": self.current_epoch,
            "step": self.global_step,
            "metrics": dict(self._metrics),
        }
        checkpoint[MEANS_KEY] = self._train_means.state_dict()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Takes up the metrics of a run that was cut off."""
        self._train_means.load_state_dict(checkpoint.get(MEANS_KEY, {}))
        self._metrics = dict(checkpoint[PROVENANCE_KEY]["metrics"])

    def compute(self, batch: Batch) -> tuple[BatchLoss, Tensor]:
        """Loss of a batch, and logits (B, N)."""
        logits, track_tokens = self.selector(
            batch.tokens,
            batch.text,
            batch.track_mask,
            batch.frame_mask,
            batch.text_mask,
            video_idx=batch.video_idx,
        )
        # mixed precision ends here: the tokens have the precision of the data
        kind = batch.tokens.dtype
        logits, track_tokens = logits.to(kind), track_tokens.to(kind)
        outputs = SelectorOutputs(logits, track_tokens, self.selector.negative_tokens)
        inputs = LossInputs(batch.labels.to(kind), batch.text, batch.label_mask, batch.text_mask)
        with torch.autocast(logits.device.type, enabled=False):
            terms = self.loss(outputs, inputs)
            return combine_terms(terms, self.loss.weights, batch.has_tracks), logits

    def _train_metrics(self) -> dict[str, Tensor]:
        means = self._train_means.means().items()
        return {name if name == POSITIVES else f"train/{name}_epoch": mean for name, mean in means}

    def _no_loss(self) -> BatchLoss:
        """0, with gradient 0 for every parameter: what other processes wait for."""
        zero = torch.stack([p.sum() for p in self.parameters() if p.requires_grad]).sum() * 0
        return BatchLoss(zero, dict.fromkeys(self.loss.weights, zero))


def _add_losses(means: RunningMeans, loss: BatchLoss, batch: Batch) -> int:
    """Add a batch's losses; returns the number of expressions that have tracks."""
    num_expressions = sum(count > 0 for count in batch.num_tracks)
    means.add({TOTAL: loss.total, **loss.terms}, num_expressions)
    return num_expressions
