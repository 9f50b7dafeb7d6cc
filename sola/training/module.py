"""The LightningModule of the selector: loss, J&F of the selected union, checkpoints' provenance."""

import dataclasses
import logging
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor

from sola.config.schema import LossConfig, OptimizerConfig
from sola.selector import Selector
from sola.selector.base import PROVENANCE_KEY
from sola.selector.losses import (
    SelectionLoss,
    alignment_loss,
    classification_loss,
    combine_losses,
)
from sola.training.batch import Batch
from sola.training.optimization import make_optimizer, make_schedules
from sola.training.scoring import ValidationScorer

VALID_LOSS, VALID_JF = "valid/loss", "valid/J&F"
POSITIVES = "train/positives"
"""Tracks that an expression means, on average."""

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

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor | None:
        """Loss of a batch; None, which skips the step, where no expression has tracks."""
        if not any(batch.num_tracks):
            return None
        loss, _ = self._step(batch, "train")
        self.log(
            POSITIVES,
            batch.labels.sum() / len(batch.labels),
            on_step=False,
            on_epoch=True,
            batch_size=len(batch.labels),
        )
        return loss.total

    def on_train_epoch_end(self) -> None:
        """Warns where there is nothing to learn: not one track is meant by any expression."""
        if self.current_epoch == 0 and self.trainer.callback_metrics.get(POSITIVES) == 0:
            log.warning(
                "no track of the training split overlaps an expression's objects by more than "
                "loss.label_iou=%s: every label is negative. Check the tracks: tracker, its "
                "checkpoint, prompt sources.",
                self.loss_config.label_iou,
            )

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Logs loss, and J, F and J&F of the union of the selected tracks."""
        _, logits = self._step(batch, "valid")
        is_selected = (logits.sigmoid() > self.threshold).cpu().numpy()
        scores = [
            self.scorer.score(expression, row[:count])
            for expression, row, count in zip(
                batch.expressions, is_selected, batch.num_tracks, strict=True
            )
        ]
        means = {
            "valid/J": float(np.mean([score.j for score in scores])),
            "valid/F": float(np.mean([score.boundary_f for score in scores])),
            VALID_JF: float(np.mean([score.jf for score in scores])),
        }
        self.log_dict(means, on_epoch=True, sync_dist=True, batch_size=len(scores))

    def configure_optimizers(self) -> Any:
        """AdamW and its schedule."""
        is_mixed = str(self.trainer.precision).endswith("-mixed")
        optimizer = make_optimizer(self.parameters(), self.optimizer_config, is_mixed=is_mixed)
        schedules = make_schedules(
            optimizer,
            self.optimizer_config,
            num_steps=int(self.trainer.estimated_stepping_batches),
            monitor=VALID_LOSS,
            check_every_n_epochs=self.trainer.check_val_every_n_epoch or 1,
        )
        return [optimizer], schedules

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Adds what the weights are, in plain types, so that they load with weights_only."""
        metrics = {
            name: float(value)
            for name, value in self.trainer.callback_metrics.items()
            if bool(value.isfinite())
        }
        checkpoint[PROVENANCE_KEY] = {
            **self.provenance,
            "selector": self.selector.description,
            "threshold": self.threshold,
            "loss": dataclasses.asdict(self.loss_config),
            "epoch": self.current_epoch,
            "step": self.global_step,
            "metrics": metrics,
        }

    def compute(self, batch: Batch) -> tuple[SelectionLoss, Tensor]:
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

    def _step(self, batch: Batch, stage: str) -> tuple[SelectionLoss, Tensor]:
        """Logs the loss of the expressions that have tracks."""
        loss, logits = self.compute(batch)
        num_samples = sum(count > 0 for count in batch.num_tracks)
        if num_samples:
            self._log_loss(loss, stage, num_samples)
        return loss, logits

    def _log_loss(self, loss: SelectionLoss, stage: str, num_samples: int) -> None:
        is_training = stage == "train"
        parts = {"loss": loss.total, "bce": loss.bce, "alignment": loss.alignment}
        self.log_dict(
            {f"{stage}/{name}": value.detach() for name, value in parts.items()},
            on_step=is_training,
            on_epoch=True,
            sync_dist=not is_training,
            batch_size=num_samples,
        )
