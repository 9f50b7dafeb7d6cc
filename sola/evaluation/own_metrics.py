"""Numbers of a user's own beside J and F: a function of each answer's masks and the true ones.

docs/adding_a_metric.md shows how to add one.
"""

import ast
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

from sola.config.by_name import check_call, code_of, find_module, shown_path
from sola.config.messages import nearest
from sola.config.progress import progress
from sola.errors import UserError
from sola.evaluation.parallel import map_in_order
from sola.evaluation.protocol import Answer, Benchmark, ExpressionResult
from sola.evaluation.tracks import VideoReader
from sola.masks import common_size, empty_masklet, merge
from sola.types import Masklet

PACKAGE, FUNCTION = "sola.metrics", "measure"
NOT_NAMES = ("tracks", "interval", "num_expressions", "num_videos")
"""What evaluation.json says beside numbers."""


class Measure(Protocol):
    """A metric: a number of an answer and the union of the objects that are meant."""

    def __call__(self, preds: Masklet, target: Masklet) -> float:
        """T masks each."""


@dataclass(frozen=True)
class _Video:
    """The answers about one video; plain values, which any process can take."""

    masklets: tuple[Masklet, ...]
    ground_truth: Mapping[str, Masklet]
    results: tuple[ExpressionResult, ...]
    names: tuple[str, ...]

    @cached_property
    def empty(self) -> Masklet:
        """The answer of no tracks, and the target of no objects."""
        known = [*self.masklets, *self.ground_truth.values()]
        size = common_size(known)
        return [] if size is None else empty_masklet(len(known[0]), size)


def describe_metrics(names: Sequence[str]) -> dict[str, dict[str, str]]:
    """What evaluation.json says of metrics: their first line, and the digest of their code.

    Raises:
        UserError: if there is no such metric.
    """
    return {
        name: {
            "meaning": (_find(name).__doc__ or "").strip().partition("\n")[0].rstrip("."),
            "sha256": code_of(f"{PACKAGE}.{name}") or "",
        }
        for name in names
    }


def add_own_metrics(
    results: Sequence[ExpressionResult],
    dataset: Benchmark,
    sources: VideoReader,
    names: Sequence[str],
    *,
    num_workers: int = 0,
) -> list[ExpressionResult]:
    """Results whose answers have these metrics too.

    Args:
        results: of a split, video by video.
        dataset: the split, with ground truth.
        sources: its tracks.
        names: modules below ``sola.metrics``; none of them costs nothing.
        num_workers: further processes that measure, which changes time alone.

    Raises:
        UserError: if there is no such metric, or one gives no finite number.
    """
    if not names:
        return list(results)
    by_video: dict[str, list[ExpressionResult]] = {}
    for result in results:
        by_video.setdefault(result.expression.video_id, []).append(result)

    def videos() -> Iterator[_Video]:
        for video_id, of_video in by_video.items():
            tracks = sources.read([result.expression for result in of_video])
            ground_truth = dataset.ground_truth(video_id)
            yield _Video(tracks.masklets, ground_truth, tuple(of_video), tuple(names))

    measured = []
    with progress(", ".join(names), len(by_video)) as advance:
        for of_video in map_in_order(_measure_video, videos(), num_workers):
            measured += of_video
            advance("")
    return measured


def _measure_video(video: _Video) -> list[ExpressionResult]:
    measures = {name: _find(name) for name in video.names}
    known: dict[Any, dict[str, float]] = {}

    def extend(answer: Answer, result: ExpressionResult) -> Answer:
        object_ids = tuple(sorted(result.expression.object_ids or ()))
        key = (answer.selected, object_ids)
        if key not in known:
            preds = merge([video.masklets[idx] for idx in answer.selected]) or video.empty
            target = merge([video.ground_truth[name] for name in object_ids]) or video.empty
            where = f"expression {result.expression.expression_id} of {result.expression.video_id}"
            known[key] = {}
            for name, measure in measures.items():
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
    try:
        value = math.nan if isinstance(found, str | bytes) else float(found)
    except (TypeError, ValueError):
        value = math.nan
    if not math.isfinite(value):
        shown = repr(found) if isinstance(found, str | bytes) else found
        raise UserError(
            f"metrics: {name} gives {shown} for {where}; needed is a finite number for every "
            f"answer, also an empty one. Mend sola/metrics/{name}.py."
        )
    return value


def _find(name: str) -> Measure:
    known = [path.stem for path in sorted(_folder().glob("*.py")) if _has_function(path)]
    if name not in known and (_folder() / f"{name}.py").is_file():
        find_module(PACKAGE, name, "metrics")  # one that cannot be read says so
    if name not in known or name in NOT_NAMES:
        guess = nearest(name, known)
        hint = f" Did you mean {guess}?" if guess else ""
        raise UserError(
            f"metrics is {name!r}; known are {', '.join(known) or 'none'}: files in sola/metrics/ "
            f"with a function {FUNCTION}.{hint} docs/adding_a_metric.md shows how to add one."
        )
    measure: Measure = getattr(find_module(PACKAGE, name, "metrics"), FUNCTION)
    check_call(measure, Measure.__call__, shown_path(str(_folder() / f"{name}.py")), name=FUNCTION)
    return measure


def _folder() -> Path:
    return Path(__file__).parents[1] / PACKAGE.rpartition(".")[2]


def _has_function(path: Path) -> bool:
    try:
        body = ast.parse(path.read_bytes()).body
    except (SyntaxError, ValueError):  # the latter: no text
        return False
    return any(isinstance(node, ast.FunctionDef) and node.name == FUNCTION for node in body)
