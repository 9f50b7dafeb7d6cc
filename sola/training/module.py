"""The LightningModule of the selector: loss, J&F of the selected union, checkpoints' provenance."""

import logging
from collections.abc import Callable, Mapping
from itertools import chain
from typing import Any

import pytorch_lightning as pl
import torch
import torch.distributed as dist
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import ReduceLROnPlateau

from sola.errors import UserError
from sola.selector import Loss, Selector
from sola.selector.base import PROVENANCE_KEY
from sola.selector.losses import TOTAL, LossInputs, SelectorOutputs, combine_terms
from sola.training.batch import Batch
from sola.training.finite import REMEDY, LossCheck
from sola.training.optimization import make_schedules
from sola.training.scoring import GRID, NUM_SCORES, ScoredBatch, ValidationScorer, summarize

POSITIVES = "train/positives"
"""Mean number of positive tracks of an expression."""
SCORED = "scored"
MAX_STEPS = 1 << 40
"""Stands for the steps of a run without an end."""
MEANS_KEY = "train_means"
"""Of a checkpoint: sum and count of the epoch so far, by name."""

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
        self.names = (TOTAL, *loss.weights, POSITIVES)
        self._train_totals = self._valid_totals = self._no_totals()
        self._score_totals = torch.zeros(2, NUM_SCORES, 2, dtype=torch.double)
        self._metrics: dict[str, float] = {}
        self._check = LossCheck(self.names[:-1])
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
        own = self._totals(loss, batch)
        totals, num_processes = _sum_over_processes(own)
        self._train_totals = self._train_totals.to(totals.device) + totals
        means = (totals[0] / totals[1].clamp(min=1)).float()[:-1]
        self._check.add(self.global_step, means, batch.expressions)
        names = [f"train/{name}_step" for name in self.names[:-1]]
        self.step_metrics = dict(zip(names, means, strict=True))
        share = num_processes * own[1, 0] / totals[1, 0].clamp(min=1)
        return loss[TOTAL] * share.to(loss[TOTAL].dtype)

    def on_train_epoch_start(self) -> None:
        """Start the epoch's means."""
        self._train_totals = self._no_totals()

    def on_train_epoch_end(self) -> None:
        """Log means; warn where no track is positive: nothing to learn."""
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
        """Start the means.

        Raises:
            UserError: if a loss before it is not finite.
        """
        self._check.check()
        self._valid_totals = self._no_totals()
        self._score_totals = torch.zeros_like(self._score_totals)

    def validation_step(self, batch: Batch, batch_idx: int) -> dict[str, ScoredBatch] | None:
        """Add up losses, and J and F of the unions of selected tracks by threshold.

        Returns:
            The scores, under ``SCORED``, for callbacks; None without expressions.
        """
        if not batch.expressions:
            return None  # other processes have one more video
        loss, logits = self.compute(batch)
        self._valid_totals = self._valid_totals.to(self.device) + self._totals(loss, batch)
        rows = zip(logits.float().sigmoid().cpu().numpy(), batch.num_tracks, strict=True)
        scores = [row[:count] for row, count in rows]
        rows = zip(batch.labels.cpu().numpy(), batch.num_tracks, strict=True)
        labels = [row[:count] for row, count in rows]
        thresholds = sorted({self.threshold, *GRID})
        curves = self.scorer.trace(batch.expressions, scores, thresholds=thresholds)
        oracles = [self.scorer.oracle(e) for e in batch.expressions]
        scored = ScoredBatch(batch.expressions, scores, labels, curves, oracles)
        self._score_totals += torch.from_numpy(scored.totals(self.threshold))
        return {SCORED: scored}

    def on_validation_epoch_end(self) -> None:
        """Log the means over all processes' expressions."""
        totals, _ = _sum_over_processes(self._valid_totals.to(self.device))
        means = _means(totals, self.names)
        self.log_dict({f"valid/{name}": v for name, v in means.items() if name != POSITIVES})
        scores, _ = _sum_over_processes(self._score_totals.to(self.device))
        self.log_dict(summarize(scores.cpu(), self.threshold))

    def on_validation_end(self) -> None:
        """Step plateau schedules: Lightning would do so after last.ckpt is written."""
        if self.trainer.sanity_checking:
            return
        metrics = self.trainer.callback_metrics
        for config in self.trainer.lr_scheduler_configs:
            if isinstance(config.scheduler, ReduceLROnPlateau) and config.monitor in metrics:
                config.scheduler.step(metrics[config.monitor])

    def lr_scheduler_step(self, scheduler: Any, metric: Any) -> None:
        """Step the other schedules."""
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
        """Add what the weights are, in plain types, so that they load with weights_only.

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
        pairs = self._train_totals.T.tolist()
        checkpoint[MEANS_KEY] = dict(zip(self.names, pairs, strict=True))

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Continue the metrics of a run that was cut off."""
        means = checkpoint[MEANS_KEY]
        self._train_totals = torch.tensor(
            [means[name] for name in self.names], dtype=torch.double
        ).T
        self._metrics = dict(checkpoint[PROVENANCE_KEY]["metrics"])

    def compute(self, batch: Batch) -> tuple[dict[str, Tensor], Tensor]:
        """Losses of a batch by name, see ``combine_terms``, and logits (B, N)."""
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

    def _no_loss(self) -> dict[str, Tensor]:
        """0, with gradient 0 for every parameter: what other processes wait for."""
        zero = torch.stack([p.sum() for p in self.parameters() if p.requires_grad]).sum() * 0
        return dict.fromkeys((TOTAL, *self.loss.weights), zero)

    def _no_totals(self) -> Tensor:
        return torch.zeros(2, len(self.names), dtype=torch.double)

    def _totals(self, loss: dict[str, Tensor], batch: Batch) -> Tensor:
        """(2, K): sums over a batch's expressions, and how many these are, by ``names``."""
        num_scored = sum(count > 0 for count in batch.num_tracks)
        counts = [float(num_scored)] * (len(self.names) - 1) + [float(len(batch.labels))]
        losses = torch.stack([loss[name] for name in self.names[:-1]])
        sums = losses.detach().double() * num_scored
        return torch.stack([torch.cat([sums, batch.labels.sum()[None]]), sums.new_tensor(counts)])

    def _train_metrics(self) -> dict[str, Tensor]:
        means = _means(self._train_totals, self.names).items()
        return {name if name == POSITIVES else f"train/{name}_epoch": mean for name, mean in means}


def _sum_over_processes(totals: Tensor) -> tuple[Tensor, int]:
    """The sum of what the processes have, all of which have to call it, and their number."""
    if not (dist.is_available() and dist.is_initialized()):
        return totals, 1
    summed = totals.clone()
    dist.all_reduce(summed)
    return summed, dist.get_world_size()


def _means(totals: Tensor, names: tuple[str, ...]) -> dict[str, Tensor]:
    """The values that are the mean of anything, float32 scalars."""
    sums, counts = totals
    found = zip(names, sums, counts, strict=True)
    return {name: (total / count).float() for name, total, count in found if count > 0}
