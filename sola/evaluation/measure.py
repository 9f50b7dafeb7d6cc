"""Measure J and F of the selection, and of the answers it is compared with, per expression."""

import math
import multiprocessing
from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from functools import cache, partial
from typing import Any

import numpy as np

from sola.config.console import progress
from sola.datasets import Split
from sola.errors import UserError
from sola.evaluation.curve import Curve, Scored, trace
from sola.evaluation.oracle import best_selection, best_track
from sola.evaluation.scores import ScoredSplit, Scores, group_by_video
from sola.evaluation.tracks import VideoTracks
from sola.evaluation.video_scorer import Score, VideoScorer
from sola.masks import areas, merge
from sola.masks.runs import Runs, pixels_by_frame
from sola.types import Expression, Masklet

SELECTION, ORACLE, OTHER_TEXT = "selection", "oracle", "other_text"
BEST_TRACK, ALL_TRACKS, LARGEST_TRACK, NONE = "best_track", "all_tracks", "largest_track", "none"
TASKS_AHEAD = 2  # videos queued per process: enough to keep it busy
SMALL, LARGE = 0.01, 0.1
"""Shares of the frame: a target is small below the first and large from the second on."""
MOST_FRAMES = (32, 64, 128)
MOST_WORDS = (5, 10)
NOWHERE = "nowhere"

LABELS = {
    "objects": ("0", "1", "2", "3+"),
    "size": (NOWHERE, "small", "medium", "large"),
    "visible": (NOWHERE, "at times", "always"),
    "frames": ("1-32", "33-64", "65-128", "129+"),
    "words": ("1-5", "6-10", "11+"),
}
"""Labels of each group, in the order of tables."""
MEANINGS = {
    "objects": "objects that the expression means",
    "size": f"mean share of the frame that they cover where visible: small below {SMALL:.0%}, "
    f"large from {LARGE:.0%} on",
    "visible": "on how many of the frames one of them is visible",
    "frames": "frames of the video",
    "words": "words of the expression",
}
# a user's own metric: (answer, union of the objects) -> number, T masks each
Metric = Callable[[Masklet, Masklet], float]


@dataclass(frozen=True)
class Answer:
    """One selection of tracks and its score.

    Attributes:
        selected: indices among the tracks of the video, ascending.
        score: J and F.
        is_empty: whether the answer has no pixel on any frame.
        own: values of the user's own metrics, by name.
    """

    selected: tuple[int, ...]
    score: Score
    is_empty: bool
    own: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class ExpressionResult:
    """Everything measured for one expression.

    Attributes:
        expression: the expression.
        answers: answers by name: always ``SELECTION``; the others if masks are chosen among tracks;
            ``OTHER_TEXT`` only if the expression was scored under another text.
        groups: label by group, see ``groups_of``.
        curve: J and F of the selection at every threshold.
        oracle_is_exact: whether every subset of tracks was considered.
        oracle_by_source: the oracle among the tracks of each prompt source that has tracks.
        other_id: the expression whose text was scored for ``OTHER_TEXT``.
    """

    expression: Expression
    answers: dict[str, Answer]
    groups: dict[str, str]
    curve: Curve
    oracle_is_exact: bool = True
    oracle_by_source: dict[str, Answer] = field(default_factory=dict)
    other_id: str | None = None


@dataclass(frozen=True)
class VideoTask:
    """Everything needed to measure one video, in picklable values.

    Attributes:
        where: name of the video in messages.
        video: tracks of the video; the object tokens may be empty.
        ground_truth: masklets of the objects by id.
        expressions: expressions of the video.
        scores: scores of the expressions.
        threshold: a track is selected if it scores above this.
        metrics: the user's own metrics by name.
        has_bounds: whether to measure the oracle and the other answers too.
    """

    where: str
    video: VideoTracks
    ground_truth: Mapping[str, Masklet]
    expressions: Sequence[Expression]
    scores: Scores
    threshold: float
    metrics: Mapping[str, Metric] = field(default_factory=dict)
    has_bounds: bool = True

    def run(self) -> list[ExpressionResult]:
        """Measure all expressions.

        Raises:
            UserError: if tracks and ground truth differ in length or size.
        """
        try:
            scorer = VideoScorer(self.video.masklets, self.ground_truth)
        except ValueError as error:
            raise UserError(f"{self.where}: tracks do not match ground truth: {error}") from error
        scored = []
        for expression in self.expressions:
            row = self.scores.row(expression)
            scored.append(Scored(tuple(row), tuple(row.values()), expression.object_ids or ()))
        pairs = zip(self.expressions, trace(scorer, scored), strict=True)
        oracle = cache(partial(best_selection, scorer))  # expressions share its results
        return [self._measure(scorer, oracle, *each) for each in pairs]

    def _measure(
        self, scorer: VideoScorer, oracle: Any, expression: Expression, curve: Curve
    ) -> ExpressionResult:
        objects = frozenset(expression.object_ids or ())

        def answer(selected: Iterable[int]) -> Answer:
            return self._answer(scorer, expression, frozenset(selected))

        answers = {SELECTION: answer(self.scores.select(expression, self.threshold))}
        groups = groups_of(expression, scorer.union(objects))
        result = ExpressionResult(expression, answers, groups, curve)
        if not self.has_bounds:
            return result
        tracks, by_source = tuple(self.scores.row(expression)), dict[str, tuple[int, ...]]()
        for idx in tracks:
            source = self.video.prompts[idx].source
            by_source[source] = (*by_source.get(source, ()), idx)
        found = {source: oracle(objects, own) for source, own in by_source.items()}
        best = oracle(objects, tracks)
        # greedy search among all tracks may end below the best of one source
        highest = max([best, *found.values()], key=lambda oracle: oracle.score.jf)
        answers[ORACLE] = answer(highest.selected)
        answers[BEST_TRACK] = answer(best_track(scorer, objects, tracks))
        answers[ALL_TRACKS] = answer(tracks)
        answers[LARGEST_TRACK] = answer(largest_track(self.video.masklets, tracks))
        answers[NONE] = answer(())
        other_id = self.scores.other_text(expression)
        if other_id is not None:
            selected = self.scores.select(expression, self.threshold, text_id=other_id)
            answers[OTHER_TEXT] = answer(selected)
        return replace(
            result,
            oracle_is_exact=best.is_exact,
            oracle_by_source={source: answer(o.selected) for source, o in found.items()},
            other_id=other_id,
        )

    def _answer(
        self, scorer: VideoScorer, expression: Expression, selected: frozenset[int]
    ) -> Answer:
        objects, own = expression.object_ids or (), {}
        if self.metrics:
            preds, empty = self.video.union(sorted(selected)), self.video.union(())
            target = merge([self.ground_truth[name] for name in sorted(set(objects))]) or empty
            where = f"expression {expression.expression_id} of {expression.video_id}"
            own = {
                name: _call_metric(name, metric, preds, target, where)
                for name, metric in self.metrics.items()
            }
        is_empty = scorer.union(selected).is_empty
        return Answer(tuple(sorted(selected)), scorer.score(selected, objects), is_empty, own)


def evaluate_expressions(
    split: ScoredSplit,
    *,
    threshold: float,
    metrics: Mapping[str, Metric] | None = None,
    has_bounds: bool = True,
    num_workers: int = 0,
) -> list[ExpressionResult]:
    """Measure every expression of a split.

    Args:
        split: a split with ground truth, tracks, and scores of every expression; the answer to an
            expression without tracks is empty masks.
        threshold: a track is selected if it scores above this.
        metrics: the user's own metrics by name.
        has_bounds: whether to measure the oracle and the other answers too.
        num_workers: number of worker processes; 0: compute in this process. Results do not depend
            on it.

    Returns:
        One result per expression, video by video.

    Raises:
        UserError: if an object has no masks, or tracks and ground truth differ in length or size.
        KeyError: if scores are missing.
    """
    dataset, scores = split.dataset, split.scores
    videos = group_by_video(dataset.expressions)

    def tasks() -> Iterator[VideoTask]:
        for video_id, expressions in videos.items():
            tracks = split.sources.read(expressions)
            keys = [(video_id, expression.expression_id) for expression in expressions]
            yield VideoTask(
                where=f"video {video_id} of {dataset.name}/{dataset.split}",
                video=replace(tracks, object_tokens=tracks.object_tokens[..., :0]),
                ground_truth=dataset.ground_truth(video_id),
                expressions=expressions,
                scores=Scores({key: scores.by_expression[key] for key in keys}, {}),
                threshold=threshold,
                metrics=metrics or {},
                has_bounds=has_bounds,
            )

    results = []
    with progress(f"J and F of {dataset.name}/{dataset.split}", len(videos)) as advance:
        for of_video in _run_in_order(tasks(), num_workers):
            results += of_video
            advance("")
    return results


def largest_track(masklets: Sequence[Masklet], tracks: Sequence[int]) -> frozenset[int]:
    """Return the track with the most pixels over all frames, the first of equals; () if none.

    Args:
        masklets: all tracks of a video.
        tracks: indices of the tracks to choose among.
    """
    if not tracks:
        return frozenset()
    num_pixels = areas([masklets[idx] for idx in tracks]).sum(axis=1, dtype=np.int64)
    return frozenset([tracks[int(np.argmax(num_pixels))]])


def groups_of(expression: Expression, target: Runs) -> dict[str, str]:
    """Return the label of an expression in each group.

    Args:
        expression: an expression with known objects.
        target: union of its objects.
    """
    num_pixels = pixels_by_frame(target)
    is_visible = num_pixels > 0
    share = float(num_pixels[is_visible].mean()) / np.prod(target.size) if is_visible.any() else 0
    size = 1 + bisect_right((SMALL, LARGE), share) if is_visible.any() else 0
    return {
        "objects": LABELS["objects"][min(len(expression.object_ids or ()), 3)],
        "size": LABELS["size"][size],
        "visible": LABELS["visible"][int(is_visible.any()) + int(is_visible.all())],
        "frames": LABELS["frames"][bisect_left(MOST_FRAMES, target.num_frames)],
        "words": LABELS["words"][bisect_left(MOST_WORDS, len(expression.text.split()))],
    }


def check_ground_truth(dataset: Split) -> None:
    """Check that a split can be measured.

    Raises:
        UserError: if the split has no ground truth, or an expression does not name its objects.
    """
    where = f"split {dataset.split} of {dataset.name}"
    if not dataset.has_masks:
        raise UserError(f"{where}: no ground truth. Choose another split, or run predict.py.")
    unknown = [e for e in dataset.expressions if e.object_ids is None]
    if unknown:
        raise UserError(
            f"{where}: {len(unknown)} expressions do not name their objects, the first is "
            f"{unknown[0].expression_id} of video {unknown[0].video_id}. Get its annotations again."
        )


def describe_metrics(metrics: Mapping[str, Metric]) -> dict[str, dict[str, str]]:
    """Return the meaning and the import path of each metric, for evaluation.json."""
    described = {}
    for name, metric in metrics.items():
        own: Any = getattr(metric, "func", metric)
        own = own if hasattr(own, "__qualname__") else type(own)
        meaning = (own.__doc__ or "").strip().partition("\n")[0].rstrip(".")
        described[name] = {"meaning": meaning, "target": f"{own.__module__}.{own.__qualname__}"}
    return described


def _call_metric(name: str, metric: Metric, preds: Masklet, target: Masklet, where: str) -> float:
    """Return a metric's value for one answer, which must be a finite number."""
    found: Any = metric(preds, target)
    try:
        value = math.nan if isinstance(found, str | bytes) else float(found)
    except (TypeError, ValueError):
        value = math.nan
    if not math.isfinite(value):
        raise UserError(
            f"metric.{name}: must return a finite number for every answer, also an empty one, "
            f"got {found!r} for {where}."
        )
    return value


def _run_in_order(tasks: Iterable[VideoTask], num_workers: int) -> Iterator[list[ExpressionResult]]:
    """Yield results in the order of the tasks; exceptions of worker processes are raised here."""
    if num_workers == 0:
        yield from map(VideoTask.run, tasks)
        return
    # forking is not safe while torch and HDF5 run threads
    context = multiprocessing.get_context("spawn")
    waiting: deque[Future[list[ExpressionResult]]] = deque()
    with ProcessPoolExecutor(num_workers, context) as pool:
        for task in tasks:
            waiting.append(pool.submit(task.run))
            if len(waiting) > TASKS_AHEAD * num_workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
