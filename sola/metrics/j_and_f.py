"""J, F and J&F over the expressions of a split, as a torchmetrics metric."""

from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric

from sola.metrics.functional import Masks, boundary_f_measure, region_similarity


class JAndF(Metric):
    """Mean J, F and J&F: over an expression's frames first, then over expressions.

    It keeps only sums and a count, which are summed over the ranks of a distributed run.

    Args:
        kwargs: arguments of ``torchmetrics.Metric``.
    """

    is_differentiable = False
    higher_is_better = True
    full_state_update = False
    j_sum: Tensor
    boundary_f_sum: Tensor
    num_expressions: Tensor

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        zero = torch.tensor(0.0, dtype=torch.float64)
        self.add_state("j_sum", zero, dist_reduce_fx="sum")
        self.add_state("boundary_f_sum", zero.clone(), dist_reduce_fx="sum")
        self.add_state("num_expressions", torch.tensor(0), dist_reduce_fx="sum")

    def update(self, preds: Masks, target: Masks) -> None:
        """Add one expression.

        Args:
            preds: (T, H, W) bool or integers, or T run-length masks: union of the selected
                masklets; empty masks if none is selected.
            target: union of the masklets of the expression's objects, of the same shape.

        Raises:
            ValueError: if the shapes differ or there are no frames.
        """
        j, boundary_f = region_similarity(preds, target), boundary_f_measure(preds, target)
        if j.ndim != 1 or j.numel() == 0:
            raise ValueError(
                "preds: expected (T, H, W) with at least one frame, got frames of shape "
                f"{tuple(j.shape)}"
            )
        self.j_sum += j.mean().to(self.j_sum.device)
        self.boundary_f_sum += boundary_f.mean().to(self.boundary_f_sum.device)
        self.num_expressions += 1

    def compute(self) -> dict[str, Tensor]:
        """Return the means so far.

        Returns:
            "J", "F" and "J&F", () float64 in [0, 1]; NaN if no expression was added.
        """
        j = self.j_sum / self.num_expressions
        boundary_f = self.boundary_f_sum / self.num_expressions
        return {"J": j, "F": boundary_f, "J&F": (j + boundary_f) / 2}
