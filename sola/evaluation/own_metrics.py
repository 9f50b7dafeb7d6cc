"""Numbers of a user's own beside J and F: a function of each answer's masks and the true ones.

docs/adding_a_metric.md shows how to add one.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from sola.config.progress import progress
from sola.errors import UserError
from sola.evaluation.parallel import map_in_order
from sola.evaluation.protocol import Answer, Benchmark, ExpressionResult
from sola.evaluation.tracks import VideoReader
from sola.masks import common_size, empty_masklet, merge
from sola.types import Masklet

Measure = Callable[[Masklet, Masklet], float]
"""A metric: a number of an answer and of the union of the objects that are meant, T masks each."""


@dataclass(frozen=True)
class _Video:
    """The answers about one video; plain values, which any process can take."""

    masklets: tuple[Masklet, ...]
    ground_truth: Mapping[str, Masklet]
    results: tuple[ExpressionResult, ...]
    metrics: Mapping[str, Measure]

    @cached_property
    def empty(self) -> Masklet:
        """The answer of no tracks, and the target of no objects."""
        known = [*self.masklets, *self.ground_truth.values()]
        size = common_size(known)
        return [] if size is None else empty_masklet(len(known[0]), size)


def describe_metrics(metrics: Mapping[str, Measure]) -> dict[str, dict[str, str]]:
    """What evaluation.json says of metrics: what they measure, and where they are defined."""
    described = {}
    for name, metric in metrics.items():
        own: Any = getattr(metric, "func", metric)
        own = own if hasattr(own, "__qualname__") else type(own)
        meaning = (own.__doc__ or "").strip().partition("\n")[0].rstrip(".")
        described[name] = {"meaning": meaning, "target": f"{own.__module__}.{own.__qualname__}"}
    return described


def add_own_metrics(
    results: Sequence[ExpressionResult],
    dataset: Benchmark,
    sources: VideoReader,
    metrics: Mapping[str, Measure],
    *,
    num_workers: int = 0,
) -> list[ExpressionResult]:
    """Results whose answers have these metrics too.

    Args:
        results: of a split, video by video.
        dataset: the split, with ground truth.
        sources: its tracks.
        metrics: by name; none of them costs nothing.
        num_workers: further processes that measure, which changes time alone.

    Raises:
        UserError: if one gives no finite number.
    """
    if not metrics:
        return list(results)
    by_video: dict[str, list[ExpressionResult]] = {}
    for result in results:
        by_video.setdefault(result.expression.video_id, []).append(result)

    def videos() -> Iterator[_Video]:
        for video_id, of_video in by_video.items():
            tracks = sources.read([result.expression for result in of_video])
            ground_truth = dataset.ground_truth(video_id)
            yield _Video(tracks.masklets, ground_truth, tuple(of_video), dict(metrics))

    measured = []
    with progress(", ".join(metrics), len(by_video)) as advance:
        for of_video in map_in_order(_measure_video, videos(), num_workers):
            measured += of_video
            advance("")
    return measured


def _measure_video(video: _Video) -> list[ExpressionResult]:
    known: dict[Any, dict[str, float]] = {}

    def extend(answer: Answer, result: ExpressionResult) -> Answer:
        object_ids = tuple(sorted(result.expression.object_ids or ()))
        key = (answer.selected, object_ids)
        if key not in known:
            preds = merge([video.masklets[idx] for idx in answer.selected]) or video.empty
            target = merge([video.ground_truth[name] for name in object_ids]) or video.empty
            where = f"expression {result.expression.expression_id} of {result.expression.video_id}"
            known[key] = {}
            for name, measure in video.metrics.items():
                found = measure(preds, target)
                known[key][name] = _value(name, found, where)
        return replace(answer, own=known[key])

    return [
        replace(
            result,
            answers={name: extend(answer, result) for name, answer in result.answers.items()},
            oracle_by_source={
                source: extend(answer, result) for source, answer in result.oracle_by_source.items()
            },
        )
        for result in video.results
    ]


def _value(name: str, found: Any, where: str) -> float:
    if not isinstance(found, str | bytes):
        try:
            value = float(found)
        except (TypeError, ValueError):
            value = math.nan
        if math.isfinite(value):
            return value
    raise UserError(
        f"metric.{name}: must return a finite number for every answer, also an empty one, got "
        f"{found!r} for {where}."
    )
