"""The LightningModule of the selector: loss, J&F of the selected union, checkpoints' provenance."""

import dataclasses
import logging
from collections.abc import Mapping
from itertools import chain
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.optim.lr_scheduler import ReduceLROnPlateau

from sola.config.schema import LossConfig, OptimizerConfig
from sola.errors import UserError
from sola.selector import Selector, check_output
from sola.selector.base import PROVENANCE_KEY
from sola.selector.losses import (
    SelectionLoss,
    alignment_loss,
    classification_loss,
    combine_losses,
)
from sola.training.batch import Batch
from sola.training.finite import REMEDY, LossCheck
from sola.training.means import RunningMeans
from sola.training.optimization import make_optimizer, make_schedules
from sola.training.scoring import ScoredBatch, ThresholdMeans, ValidationScorer

VALID_LOSS = "valid/loss"
POSITIVES = "train/positives"
"""Tracks that an expression means, on average."""
LOSS_PARTS = ("loss", "bce", "alignment")
SCORED = "scored"
MEANS_KEY = "train_means"
"""Of a checkpoint: the means of the epoch so far."""

log = logging.getLogger(__name__)


class SelectorModule(pl.LightningModule):
    """Trains a selector.

    Args:
        selector: the network.
        loss: weights of the loss.
        optimizer: optimiser and schedule.
        scorer: of the validation split.
        threshold: a track is selected when its score is above this.
        provenance: plain values that checkpoints carry, see ``load_selector``.
    """

    def __init__(
        self,
        selector: Selector,
        loss: LossConfig,
        optimizer: OptimizerConfig,
        scorer: ValidationScorer,
        *,
        threshold: float = 0.5,
        provenance: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.selector = selector
        self.loss_config, self.optimizer_config, self.scorer = loss, optimizer, scorer
        self.threshold, self.provenance = threshold, dict(provenance or {})
        self._train_means = RunningMeans(*LOSS_PARTS, POSITIVES)
        self._valid_means = RunningMeans(*LOSS_PARTS)
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
        step = RunningMeans(*LOSS_PARTS, POSITIVES)
        num_own = _add_losses(step, loss, batch)
        num_rows = len(batch.labels)
        step.add({POSITIVES: batch.labels.sum() / max(num_rows, 1)}, num_rows)
        num_processes = step.gather(self.device)
        self._train_means.add_all(step)
        means = step.means()
        if "loss" in means:
            self._check.add(self.global_step, means["loss"], loss, batch.expressions)
        self.step_metrics = {
            f"train/{name}_step": means[name] for name in LOSS_PARTS if name in means
        }
        return loss.total * (num_processes * num_own / max(step.count("loss"), 1))

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
                "loss.label_iou=%s: every label is negative. Check the tracks: tracker, its "
                "checkpoint, prompt sources.",
                self.loss_config.label_iou,
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
        loss = self.trainer.callback_metrics.get(VALID_LOSS)
        for config in self.trainer.lr_scheduler_configs:
            if isinstance(config.scheduler, ReduceLROnPlateau) and loss is not None:
                config.scheduler.step(loss)

    def lr_scheduler_step(self, scheduler: Any, metric: Any) -> None:
        """Moves the other schedules on."""
        if not isinstance(scheduler, ReduceLROnPlateau):
            super().lr_scheduler_step(scheduler, metric)

    def configure_optimizers(self) -> Any:
        """AdamW and its schedule."""
        is_mixed = str(self.trainer.precision).endswith("-mixed")
        optimizer = make_optimizer(self.parameters(), self.optimizer_config, is_mixed=is_mixed)
        schedules = make_schedules(
            optimizer,
            self.optimizer_config,
            num_steps=int(self.trainer.estimated_stepping_batches),
            monitor=VALID_LOSS,
        )
        return [optimizer], schedules

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
            "loss": dataclasses.asdict(self.loss_config),
            "epoch": self.current_epoch,
            "step": self.global_step,
            "metrics": dict(self._metrics),
        }
        checkpoint[MEANS_KEY] = self._train_means.state_dict()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Takes up the metrics of a run that was cut off."""
        self._train_means.load_state_dict(checkpoint.get(MEANS_KEY, {}))
        self._metrics = dict(checkpoint[PROVENANCE_KEY]["metrics"])

    def compute(self, batch: Batch) -> tuple[SelectionLoss, Tensor]:
        """Loss of a batch, and logits (B, N)."""
        found = self.selector(
            batch.tokens,
            batch.text,
            batch.track_mask,
            batch.frame_mask,
            batch.text_mask,
            video_idx=batch.video_idx,
        )
        num_samples, _, text_dim = batch.text.shape
        num_tracks = batch.tokens.shape[1]
        logits, track_tokens = check_output(self.selector, found, num_samples, num_tracks, text_dim)
        # mixed precision ends here: the tokens have the precision of the data
        logits, track_tokens = logits.to(batch.tokens.dtype), track_tokens.to(batch.tokens.dtype)
        with torch.autocast(logits.device.type, enabled=False):
            return self._loss(batch, logits, track_tokens), logits

    def _loss(self, batch: Batch, logits: Tensor, track_tokens: Tensor) -> SelectionLoss:
        config = self.loss_config
        labels, mask = batch.labels.to(logits.dtype), batch.label_mask
        bce = classification_loss(logits, labels, mask, positive_weight=config.positive_weight)
        alignment = alignment_loss(
            track_tokens,
            batch.text,
            self.selector.negative_tokens,
            labels,
            mask,
            text_mask=batch.text_mask,
            temperature=config.temperature,
            positive_weight=config.positive_weight,
        )
        weight = config.alignment_weight
        return combine_losses(bce, alignment, batch.has_tracks, alignment_weight=weight)

    def _train_metrics(self) -> dict[str, Tensor]:
        means = self._train_means.means().items()
        return {name if name == POSITIVES else f"train/{name}_epoch": mean for name, mean in means}

    def _no_loss(self) -> SelectionLoss:
        """0, with gradient 0 for every parameter: what other processes wait for."""
        zero = torch.stack([p.sum() for p in self.parameters() if p.requires_grad]).sum() * 0
        return SelectionLoss(zero, zero, zero)


def _add_losses(means: RunningMeans, loss: SelectionLoss, batch: Batch) -> int:
    """Adds a batch's losses; returns of how many expressions, those that have tracks."""
    num_expressions = sum(count > 0 for count in batch.num_tracks)
    parts = zip(LOSS_PARTS, (loss.total, loss.bce, loss.alignment), strict=True)
    means.add(dict(parts), num_expressions)
    return num_expressions
