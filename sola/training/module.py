"""LightningModule of the selector: loss, validation J&F, provenance in checkpoints."""

import inspect
import logging
import math
import re
from collections import defaultdict
from collections.abc import Callable, Mapping
from itertools import chain
from typing import Any

import pytorch_lightning as pl
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.utils import get_total_norm
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, ReduceLROnPlateau

from sola.checks import at_least
from sola.errors import UserError
from sola.selector import Loss, Selector
from sola.selector.base import PROVENANCE_KEY
from sola.selector.losses import TOTAL, LossInputs, SelectorOutputs, combine_terms
from sola.training.batch import Batch
from sola.training.scoring import Finding, ValidationScorer, summarize
from sola.types import Expression

POSITIVES = "train/positives"
"""Log key: mean number of positive tracks per expression."""
VALID_LOSS = f"valid/{TOTAL}"
MAX_STEPS = 1 << 40
"""Number of steps assumed for a run without an end."""
MAX_UNREAD = {"cpu": 1, "cuda": 10}
"""Steps whose losses are read together, by device: a read makes the host wait for the GPU."""
NUM_NAMED = 5
"""Most expressions that a message names."""
REMEDY = (
    "Checkpoints are from before. Try a smaller optimizer.lr, trainer.gradient_clip_val=1 or "
    "trainer.precision=32-true, and resume from last.ckpt."
)
MEANS_KEY = "train_means"
"""Checkpoint key: sum and count of each training metric in the epoch so far, by name."""

log = logging.getLogger(__name__)


class SelectorModule(pl.LightningModule):
    """Trains a selector.

    Args:
        selector: the network.
        loss: its terms are weighted, summed and logged.
        optimizer: makes the optimiser from the parameters.
        scheduler: makes the learning rate schedule, or Lightning's dictionary with one, from the
            optimiser and the number of steps of the run. A plain torch schedule is stepped after
            every epoch, ReduceLROnPlateau after every validation with ``VALID_LOSS``. None: no
            schedule.
        scorer: scorer of the validation split.
    """

    def __init__(
        self,
        selector: Selector,
        loss: Loss,
        optimizer: Callable[..., Optimizer],
        scheduler: Callable[[Optimizer, int], Any] | None,
        scorer: ValidationScorer,
    ) -> None:
        super().__init__()
        self.selector, self.loss, self.scorer = selector, loss, scorer
        self._takes_layout = "layout" in inspect.signature(selector.forward).parameters
        self.make_optimizer, self.make_scheduler = optimizer, scheduler
        self.names = (TOTAL, *loss.weights, POSITIVES)
        self.provenance: dict[str, Any] = {}
        """Plain values stored in checkpoints, see ``load_selector``."""
        self.step_metrics: dict[str, Tensor] = {}
        """Losses of the last step, scalars."""
        self.last_loss: float | None = None
        """Loss of the last step whose losses were read, which waits for the device."""
        self.findings: list[Finding] = []
        """Findings of all processes in the last validation."""
        self._train_totals = self._valid_totals = self._no_totals()
        self._metrics: dict[str, float] = {}
        self._unread: list[tuple[int, Tensor, tuple[Expression, ...]]] = []

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return this rank's part of the step's loss.

        Parts are scaled so that their mean over ranks, and so the averaged gradient, is that of the
        mean loss over all of the step's expressions that have tracks, on whichever rank.

        Raises:
            UserError: if a loss is not finite, on every rank: at once on a CPU, some steps later on
                a GPU.
        """
        losses = self.compute(batch)[0] if any(batch.num_tracks) else self._no_losses()
        own = self._totals(losses, batch)
        totals, num_processes = _sum_over_processes(own)
        self._train_totals = self._train_totals.to(totals.device) + totals
        means = (totals[0] / totals[1].clamp(min=1)).float()[:-1]
        named = zip(self.names[:-1], means, strict=True)
        self.step_metrics = {f"train/{name}_step": mean for name, mean in named}
        self._unread.append((self.global_step, means, batch.expressions))
        if len(self._unread) >= MAX_UNREAD.get(means.device.type, 1):
            self._check_losses()
        share = num_processes * own[1, 0] / totals[1, 0].clamp(min=1)
        return losses[TOTAL] * share.to(losses[TOTAL].dtype)

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        """Log losses, learning rate and gradient norms in one row, every ``log_every_n_steps``.

        Lightning would log after last.ckpt is written, and a run that dies between the two would
        lack the row. Gradients are averaged over ranks, and not clipped yet.
        """
        step, every_n_steps = self.global_step, self.trainer.log_every_n_steps  # type: ignore[attr-defined]
        is_due = every_n_steps and (step + 1) % every_n_steps == 0
        if is_due and self.loggers and self.trainer.is_global_zero:
            row = {"train/lr": optimizer.param_groups[0]["lr"], "epoch": self.current_epoch}
            row |= _read(self.step_metrics | gradient_norms(self.selector))
            for logger in self.loggers:
                logger.log_metrics(row, step=step)

    def on_train_epoch_start(self) -> None:
        """Reset the epoch's means."""
        self._train_totals = self._no_totals()

    def on_train_epoch_end(self) -> None:
        """Log the epoch's means; warn if no track of the first epoch is positive."""
        metrics = self._train_metrics()
        self.log_dict(metrics, logger=False)
        row = {"epoch": self.current_epoch} | _read(metrics)
        for logger in self.loggers:  # Lightning would log after last.ckpt is written
            logger.log_metrics(row, step=self.global_step - 1)
        if self.current_epoch == 0 and metrics[POSITIVES] == 0:
            log.warning(
                "every label is negative: no track of the first epoch has an IoU above "
                "data.label_iou. Check tracker, tracker.checkpoint and the prompt sources."
            )

    def on_validation_epoch_start(self) -> None:
        """Discard the results of the last validation.

        Raises:
            UserError: if a training loss before it is not finite.
        """
        self._check_losses()
        self._valid_totals, self.findings = self._no_totals(), []

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Sum the losses; keep J and F of the union of the selected tracks at each threshold."""
        if not batch.expressions:
            return  # an empty step: other ranks have one more sample
        losses, logits = self.compute(batch)
        self._valid_totals = self._valid_totals + self._totals(losses, batch)
        scores, labels = (
            [row[:count] for row, count in zip(rows.cpu().numpy(), batch.num_tracks, strict=True)]
            for rows in (logits.float().sigmoid(), batch.labels)
        )
        self.findings += self.scorer.score(batch.expressions, scores, labels)

    def on_validation_epoch_end(self) -> None:
        """Log the means over the expressions of all processes."""
        totals, num_processes = _sum_over_processes(self._valid_totals)
        means = _means(totals, self.names)
        self.log_dict({f"valid/{name}": v for name, v in means.items() if name != POSITIVES})
        if num_processes > 1:
            parts: list[Any] = [None] * num_processes
            dist.all_gather_object(parts, self.findings)
            self.findings = [found for part in parts for found in part]
        self.log_dict(summarize(self.findings))

    def on_validation_end(self) -> None:
        """Step plateau schedules here: Lightning would step them after last.ckpt is written."""
        if self.trainer.sanity_checking:
            return
        metrics = self.trainer.callback_metrics
        for config in self.trainer.lr_scheduler_configs:
            if isinstance(config.scheduler, ReduceLROnPlateau) and config.monitor in metrics:
                config.scheduler.step(metrics[config.monitor])

    def lr_scheduler_step(self, scheduler: Any, metric: Any) -> None:
        """Step a schedule, unless it is a plateau schedule."""
        if not isinstance(scheduler, ReduceLROnPlateau):
            super().lr_scheduler_step(scheduler, metric)

    def configure_optimizers(self) -> Any:
        """Return the configured optimiser and its schedule."""
        optimizer = self.make_optimizer(self.parameters())
        if self.make_scheduler is None:
            return optimizer
        num_steps = int(min(self.trainer.estimated_stepping_batches, MAX_STEPS))
        schedule = self.make_scheduler(optimizer, num_steps)
        if isinstance(schedule, ReduceLROnPlateau):
            schedule = {"scheduler": schedule, "monitor": VALID_LOSS, "strict": False}
        return [optimizer], [schedule]

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the provenance in plain types, so that the file loads with weights_only.

        Raises:
            UserError: if a weight or a loss is not finite; the previous file is kept.
        """
        self._check_losses()
        # check the averaged weights that are saved, and the current ones
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
            "epoch": self.current_epoch,
            "step": self.global_step,
            "metrics": dict(self._metrics),
        }
        pairs = self._train_totals.T.tolist()
        checkpoint[MEANS_KEY] = dict(zip(self.names, pairs, strict=True))

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restore the metrics of an interrupted run."""
        pairs = [checkpoint[MEANS_KEY][name] for name in self.names]
        self._train_totals = torch.tensor(pairs, dtype=torch.double).T
        self._metrics = dict(checkpoint[PROVENANCE_KEY]["metrics"])

    def compute(self, batch: Batch) -> tuple[dict[str, Tensor], Tensor]:
        """Return the losses of a batch by name, see ``combine_terms``, and the logits (B, N)."""
        logits, track_tokens = self.selector(
            batch.tokens,
            batch.text,
            batch.track_mask,
            batch.frame_mask,
            batch.text_mask,
            video_idx=batch.video_idx,
            **({"layout": batch.layout} if self._takes_layout else {}),
        )
        # mixed precision ends here: back to the data's precision
        kind = batch.tokens.dtype
        logits, track_tokens = logits.to(kind), track_tokens.to(kind)
        outputs = SelectorOutputs(logits, track_tokens, self.selector.negative_tokens)
        inputs = LossInputs(batch.labels.to(kind), batch.text, batch.label_mask, batch.text_mask)
        with torch.autocast(logits.device.type, enabled=False):
            terms = self.loss(outputs, inputs)
            return combine_terms(terms, self.loss.weights, batch.has_tracks), logits

    def _no_losses(self) -> dict[str, Tensor]:
        """Return losses of 0 with gradients of 0, as other ranks wait for this rank's gradients."""
        # scaled one by one, so that no two parameters share the memory of their gradients
        zero = torch.stack([p.sum() * 0 for p in self.parameters() if p.requires_grad]).sum()
        return dict.fromkeys(self.names[:-1], zero)

    def _check_losses(self) -> None:
        """Raise if a loss of the last steps is NaN or infinite; all ranks have the same losses."""
        unread, self._unread = self._unread, []
        values = torch.stack([means for _, means, _ in unread]).tolist() if unread else []
        for (step, _, expressions), own in zip(unread, values, strict=True):
            self.last_loss = own[0]
            if not all(map(math.isfinite, own)):
                ids = [f"{e.video_id}/{e.expression_id}" for e in expressions[:NUM_NAMED]]
                parts = [f"{n} {value}" for n, value in zip(self.names, own, strict=False)]
                raise UserError(
                    f"step {step}: the loss is NaN or infinite ({', '.join(parts)}), of "
                    f"{', '.join(ids)} or other expressions of the step, on any device. {REMEDY}"
                )

    def _no_totals(self) -> Tensor:
        return torch.zeros(2, len(self.names), dtype=torch.double, device=self.device)

    def _totals(self, losses: dict[str, Tensor], batch: Batch) -> Tensor:
        """Return sums over a batch's expressions and their counts, (2, K), one column per name."""
        num_scored = sum(count > 0 for count in batch.num_tracks)
        means = torch.stack([losses[name] for name in self.names[:-1]]).detach().double()
        sums = torch.cat([means * num_scored, batch.labels.sum()[None]])
        counts = torch.full_like(sums, num_scored)
        counts[-1] = len(batch.labels)
        return torch.stack([sums, counts])

    def _train_metrics(self) -> dict[str, Tensor]:
        means = _means(self._train_totals, self.names).items()
        return {name if name == POSITIVES else f"train/{name}_epoch": mean for name, mean in means}


def gradient_norms(selector: nn.Module) -> dict[str, Tensor]:
    """Return the L2 norms of the gradients of each part, such as ``layers.0``, and of all parts.

    Args:
        selector: the network, after a backward pass.
    """
    parts: dict[str, list[Tensor]] = defaultdict(list)
    for name, parameter in selector.named_parameters():
        if parameter.grad is not None and parameter.numel() > 0:
            parts[re.sub(r"^(\w+(\.\d+)?).*", r"\1", name)].append(parameter.grad)
    norms = {f"grad_norm/{part}": get_total_norm(grads) for part, grads in parts.items()}
    return norms | {"grad_norm/all": get_total_norm(norms.values())}


def cosine(optimizer: Optimizer, num_steps: int, warmup_steps: int) -> dict[str, Any]:
    """Return a cosine learning rate schedule with linear warm-up, to zero at the end of the run.

    Args:
        optimizer: optimiser whose learning rate is scheduled.
        num_steps: optimiser steps of the whole run.
        warmup_steps: optimiser steps of the warm-up; 0: no warm-up.

    Raises:
        UserError: if a value is out of range.
    """
    at_least(0, warmup_steps=warmup_steps)

    def factor(step: int) -> float:
        if step < warmup_steps:
            return (step + 1) / (warmup_steps + 1)
        done = (step - warmup_steps) / max(num_steps - warmup_steps, 1)
        return 0.5 * (1 + math.cos(math.pi * min(done, 1.0)))

    return {"scheduler": LambdaLR(optimizer, factor), "interval": "step"}


def _read(metrics: Mapping[str, Tensor]) -> dict[str, float]:
    """Return scalars as numbers, with one wait for the device."""
    values = torch.stack(list(metrics.values())).tolist() if metrics else []
    return dict(zip(metrics, values, strict=True))


def _sum_over_processes(totals: Tensor) -> tuple[Tensor, int]:
    """Return the sum over all ranks, each of which must call this, and the number of ranks."""
    if not (dist.is_available() and dist.is_initialized()):
        return totals, 1
    summed = totals.clone()
    dist.all_reduce(summed)
    return summed, dist.get_world_size()


def _means(totals: Tensor, names: tuple[str, ...]) -> dict[str, Tensor]:
    """Return the means by name as float32 scalars, without names that were counted 0 times."""
    sums, counts = totals
    found = zip(names, sums, counts, strict=True)
    return {name: (total / count).float() for name, total, count in found if count > 0}
