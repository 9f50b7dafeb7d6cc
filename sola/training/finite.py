"""End a run whose loss is NaN or infinite, without waiting for the GPU at every step."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from sola.errors import UserError
from sola.types import Expression

REMEDY = (
    "Checkpoints are from before. Try a smaller optimizer.lr, trainer.gradient_clip_val=1 or "
    "trainer.precision=32-true, and resume from last.ckpt."
)
NUM_NAMED = 5
"""Expressions that a message names."""
MAX_UNREAD = {"cpu": 1, "cuda": 10}
"""Steps whose losses are read together: on a GPU reading one waits for all that was started."""


class LossCheck:
    """Refuses losses that are NaN or infinite: at once on a CPU, after some steps on a GPU.

    Args:
        names: of the losses.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self.names = names
        self._unread: list[tuple[int, Tensor, Sequence[Expression]]] = []

    def add(self, step: int, losses: Tensor, expressions: Sequence[Expression]) -> None:
        """Note a step.

        Args:
            step: its number.
            losses: one a name, means over all processes: all of them end at the same step.
            expressions: of this process.

        Raises:
            UserError: as ``check``.
        """
        self._unread.append((step, losses, expressions))
        if len(self._unread) >= MAX_UNREAD.get(losses.device.type, 1):
            self.check()

    def check(self) -> None:
        """Read the losses that were not read yet.

        Raises:
            UserError: if one is not finite, with its step and expressions.
        """
        unread, self._unread = self._unread, []
        values = torch.stack([losses for _, losses, _ in unread]).tolist() if unread else []
        for (step, _, expressions), own in zip(unread, values, strict=True):
            if all(map(math.isfinite, own)):
                continue
            ids = [f"{e.video_id}/{e.expression_id}" for e in expressions]
            more = f" and {len(ids) - NUM_NAMED} more" if len(ids) > NUM_NAMED else ""
            parts = [f"{name} {value}" for name, value in zip(self.names, own, strict=True)]
            raise UserError(
                f"step {step}: the loss is NaN or infinite ({', '.join(parts)}), of "
                f"{', '.join(ids[:NUM_NAMED])}{more} or of another device. {REMEDY}"
            )
