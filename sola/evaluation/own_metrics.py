"""Custom metrics beside J and F; docs/adding_a_metric.md shows how to add one."""

import math
from collections.abc import Callable, Mapping
from typing import Any

from sola.errors import UserError
from sola.types import Masklet

# a number from the answer and the union of the objects that are meant, T masks each
Measure = Callable[[Masklet, Masklet], float]


def describe_metrics(metrics: Mapping[str, Measure]) -> dict[str, dict[str, str]]:
    """Return what evaluation.json says of metrics: their meaning and where they are defined."""
    described = {}
    for name, metric in metrics.items():
        own: Any = getattr(metric, "func", metric)
        own = own if hasattr(own, "__qualname__") else type(own)
        meaning = (own.__doc__ or "").strip().partition("\n")[0].rstrip(".")
        described[name] = {"meaning": meaning, "target": f"{own.__module__}.{own.__qualname__}"}
    return described


def measure(
    metrics: Mapping[str, Measure], preds: Masklet, target: Masklet, where: str
) -> dict[str, float]:
    """Return the value of each metric for one answer.

    Args:
        metrics: metrics by name.
        preds: T masks, the answer.
        target: T masks, the union of the objects that are meant.
        where: names the expression in messages.

    Raises:
        UserError: if a metric returns no finite number.
    """
    values = {}
    for name, metric in metrics.items():
        found: Any = metric(preds, target)
        try:
            values[name] = math.nan if isinstance(found, str | bytes) else float(found)
        except (TypeError, ValueError):
            values[name] = math.nan
        if not math.isfinite(values[name]):
            raise UserError(
                f"metric.{name}: must return a finite number for every answer, also an empty one, "
                f"got {found!r} for {where}."
            )
    return values
