"""End a run whose loss is NaN or infinite, without waiting for the GPU at every step."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from sola.errors import UserError
from sola.selector.losses import BatchLoss
from sola.types import Expression

REMEDY = (
    "Checkpoints are from before. Try a smaller optimizer.lr, trainer.gradient_clip_val=1 or "
    "trainer.precision=32-true, and resume from last.ckpt."
)
NUM_NAMED = 5
"""Expressions that a message names."""
MAX_UNREAD = {"cpu": 1, "cuda": 10}
"""Steps whose losses are read together: on a GPU reading one waits for all that was started."""


@dataclass(frozen=True)
class StepLoss:
    """What one step came to."""

    step: int
    mean: Tensor
    """Scalar, over the expressions of all processes."""
    names: tuple[str, ...]
    """Total, then the terms."""
    parts: Tensor
    """Their values in this process."""
    expressions: tuple[Expression, ...]
    """Of this process."""


class LossCheck:
    """Refuses losses that are NaN or infinite: at once on a CPU, after some steps on a GPU."""

    def __init__(self) -> None:
        self._unread: list[StepLoss] = []

    def add(
        self, step: int, mean: Tensor, own: BatchLoss, expressions: Sequence[Expression]
    ) -> None:
        """Takes note of a step.

        Args:
            step: its number.
            mean: scalar, over all processes, so that all of them end at the same step.
            own: this process' loss.
            expressions: that it is of.

        Raises:
            UserError: as ``check``.
        """
        names = ("total", *own.terms)
        parts = torch.stack([own.total, *own.terms.values()]).detach()
        self._unread.append(StepLoss(step, mean.detach(), names, parts, tuple(expressions)))
        if len(self._unread) >= MAX_UNREAD.get(mean.device.type, 1):
            self.check()

    def check(self) -> None:
        """Reads the losses that were not read yet.

        Raises:
            UserError: if one is not finite, with its step and expressions.
        """
        steps, self._unread = self._unread, []
        if not steps:
            return
        for one, is_finite in zip(
            steps, torch.stack([s.mean for s in steps]).isfinite().tolist(), strict=True
        ):
            if not is_finite:
                raise UserError(_message(one))


def _message(one: StepLoss) -> str:
    ids = [f"{e.video_id}/{e.expression_id}" for e in one.expressions]
    more = f" and {len(ids) - NUM_NAMED} more" if len(ids) > NUM_NAMED else ""
    own = one.parts.tolist()
    parts = [f"{n} {value}" for n, value in zip(one.names, own, strict=True)]
    is_ours = not one.parts[0].isfinite()
    who = ", ".join(ids[:NUM_NAMED]) + more if is_ours else "another device"
    return f"step {one.step}: the loss is NaN or infinite ({', '.join(parts)}), of {who}. {REMEDY}"
