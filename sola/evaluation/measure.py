"""Measure the answers to each expression: the selection, and the answers it is compared with."""

import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from typing import Any

import numpy as np

from sola.config.progress import progress
from sola.datasets import Split
from sola.errors import UserError
from sola.evaluation.curve import Curve, Scored, trace
from sola.evaluation.groups import groups_of
from sola.evaluation.oracle import best_selection, best_track
from sola.evaluation.own_metrics import Measure, measure
from sola.evaluation.parallel import map_in_order
from sola.evaluation.scored_split import ScoredSplit
from sola.evaluation.scorer import Score, VideoScorer
from sola.evaluation.scores import OtherTexts, Scores, group_by_video
from sola.masks import areas, empty_masklet, merge
from sola.types import Expression, Masklet

SELECTION, ORACLE, OTHER_TEXT = "selection", "oracle", "other_text"
BEST_TRACK, ALL_TRACKS, LARGEST_TRACK, NONE = "best_track", "all_tracks", "largest_track", "none"


@dataclass(frozen=True)
class Answer:
    """One selection of tracks and its score.

    Attributes:
        selected: indices among the tracks of the video.
        score: J and F.
        is_empty: whether it has no pixel on any frame.
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
        answers: by name: ``SELECTION``; if masks are chosen among tracks the others too, and
            ``OTHER_TEXT`` if the video has an expression about other objects.
        groups: label by group, see ``groups_of``.
        curve: the selection at every threshold.
        oracle_is_exact: whether every subset of tracks was considered.
        oracle_by_source: the oracle among the tracks of each prompt source that has any.
        other: the expression whose text was scored for ``OTHER_TEXT``.
    """

    expression: Expression
    answers: dict[str, Answer]
    groups: dict[str, str]
    curve: Curve
    oracle_is_exact: bool = True
    oracle_by_source: dict[str, Answer] = field(default_factory=dict)
    other: Expression | None = None


@dataclass(frozen=True)
class VideoTask:
    """Everything needed to measure one video, in values that can be pickled.

    Attributes:
        where: names the video in messages.
        masklets: its tracks.
        track_sources: prompt source of each track; () if unknown.
        ground_truth: masklets of its objects by id.
        expressions: its expressions.
        scores: scores of the expressions.
        others: for each expression another one whose text was scored too; None: there is none.
        threshold: a track is selected if it scores above this.
        metrics: the user's own metrics by name.
        has_bounds: whether to measure the oracle and the other answers too.
    """

    where: str
    masklets: tuple[Masklet, ...]
    track_sources: tuple[str, ...]
    ground_truth: Mapping[str, Masklet]
    expressions: Sequence[Expression]
    scores: Scores
    others: Sequence[Expression | None]
    threshold: float
    metrics: Mapping[str, Measure] = field(default_factory=dict)
    has_bounds: bool = True

    def run(self) -> list[ExpressionResult]:
        """Measure all expressions.

        Raises:
            UserError: if tracks and ground truth do not fit.
        """
        scored = []
        for expression in self.expressions:
            row = self.scores.row(expression)
            scored.append(Scored(tuple(row), tuple(row.values()), expression.object_ids or ()))
        each = zip(self.expressions, self.others, trace(self._scorer, scored), strict=True)
        return [self._measure(expression, other, curve) for expression, other, curve in each]

    @cached_property
    def _scorer(self) -> VideoScorer:
        try:
            return VideoScorer(self.masklets, self.ground_truth)
        except ValueError as error:
            raise UserError(f"{self.where}: tracks and ground truth do not fit: {error}") from error

    @cached_property
    def _oracle(self) -> Any:
        """``best_selection`` of objects and tracks; expressions share its results."""
        return cache(lambda objects, tracks: best_selection(self._scorer, objects, tracks))

    def _measure(
        self, expression: Expression, other: Expression | None, curve: Curve
    ) -> ExpressionResult:
        objects = frozenset(expression.object_ids or ())

        def answer(selected: Iterable[int]) -> Answer:
            return self._answer(expression, frozenset(selected))

        def select(row: Mapping[int, float]) -> Answer:
            return answer(idx for idx, score in row.items() if score > self.threshold)

        row, scorer = self.scores.row(expression), self._scorer
        answers = {SELECTION: select(row)}
        groups = groups_of(expression, scorer.union(objects))
        result = ExpressionResult(expression, answers, groups, curve, other=other)
        if not self.has_bounds:
            return result
        tracks = tuple(row)
        own: dict[str, tuple[int, ...]] = {}
        for idx in tracks if self.track_sources else ():
            source = self.track_sources[idx]
            own[source] = (*own.get(source, ()), idx)
        by_source = {source: self._oracle(objects, of_source) for source, of_source in own.items()}
        best = self._oracle(objects, tracks)
        # greedy search among all tracks may end below the best of one source
        highest = max([best, *by_source.values()], key=lambda found: found.score.jf)
        answers[ORACLE] = answer(highest.selected)
        answers[BEST_TRACK] = answer(best_track(scorer, objects, tracks))
        answers[ALL_TRACKS] = answer(tracks)
        answers[LARGEST_TRACK] = answer(largest_track(scorer.tracks, tracks))
        answers[NONE] = answer(())
        if other is not None:
            answers[OTHER_TEXT] = select(self.scores.row(expression, text_of=other))
        oracle_by_source = {source: answer(o.selected) for source, o in by_source.items()}
        return replace(result, oracle_is_exact=best.is_exact, oracle_by_source=oracle_by_source)

    def _answer(self, expression: Expression, selected: frozenset[int]) -> Answer:
        scorer, objects, own = self._scorer, expression.object_ids or (), {}
        if self.metrics:
            empty = empty_masklet(scorer.num_frames, scorer.size)
            preds = merge([scorer.tracks[idx] for idx in sorted(selected)]) or empty
            where = f"expression {expression.expression_id} of {expression.video_id}"
            own = measure(self.metrics, preds, scorer.target(objects) or empty, where)
        score, is_empty = scorer.score(selected, objects), scorer.is_empty(selected)
        return Answer(tuple(sorted(selected)), score, is_empty, own)


def evaluate_expressions(
    split: ScoredSplit,
    *,
    threshold: float,
    others: OtherTexts | None = None,
    metrics: Mapping[str, Measure] | None = None,
    has_bounds: bool = True,
    num_workers: int = 0,
) -> list[ExpressionResult]:
    """Measure every expression of a split.

    Args:
        split: a split with ground truth, its tracks, and scores of every expression; an expression
            without tracks is answered by empty masks.
        threshold: a track is selected if it scores above this.
        others: see ``choose_other_texts``; ignored for expressions not scored under these texts.
        metrics: the user's own metrics by name.
        has_bounds: False: only the selection is measured.
        num_workers: processes that compute; 0: this one. No number depends on it.

    Returns:
        One result per expression, video by video.

    Raises:
        UserError: if an object has no masks, or tracks and ground truth do not fit.
        KeyError: if scores are missing.
    """
    dataset, scores = split.dataset, split.scores
    videos = group_by_video(dataset.expressions)

    def tasks() -> Iterator[VideoTask]:
        for video_id, expressions in videos.items():
            video = split.sources.read(expressions)
            own = {(video_id, e.expression_id): scores.of(e) for e in expressions}
            is_scored = {key: len(found.by_text) > 1 for key, found in own.items()}
            yield VideoTask(
                where=f"video {video_id} of {dataset.name}/{dataset.split}",
                masklets=video.masklets,
                track_sources=tuple(prompt.source for prompt in video.prompts),
                ground_truth=dataset.ground_truth(video_id),
                expressions=expressions,
                scores=Scores(own, {}),
                others=[(others or {}).get(key) if is_scored[key] else None for key in own],
                threshold=threshold,
                metrics=metrics or {},
                has_bounds=has_bounds,
            )

    results = []
    with progress(f"J and F of {dataset.name}/{dataset.split}", len(videos)) as advance:
        for of_video in map_in_order(VideoTask.run, tasks(), num_workers):
            results += of_video
            advance("")
    return results


def largest_track(masklets: Sequence[Masklet], tracks: Sequence[int]) -> frozenset[int]:
    """Return the largest of some tracks by pixels over all frames, the first of equals; () if none.

    Args:
        masklets: all tracks of a video.
        tracks: indices of the tracks to choose among.
    """
    if not tracks:
        return frozenset()
    num_pixels = areas([masklets[idx] for idx in tracks]).sum(axis=1, dtype=np.int64)
    return frozenset([tracks[int(np.argmax(num_pixels))]])


def choose_other_texts(
    expressions: Sequence[Expression], seed: int
) -> dict[tuple[str, str], Expression]:
    """Choose for each expression one of the same video about entirely different objects.

    A selection that listens to its sentence must fail under the other's text. Both must refer to at
    least one object. The choice only depends on the seed and the expressions of the video.

    Args:
        expressions: all expressions of a split.
        seed: seed of the choice.

    Returns:
        (video id, expression id) -> the other expression; without a partner it is left out.
    """
    chosen = {}
    for video_id, of_video in group_by_video([e for e in expressions if e.object_ids]).items():
        for expression in of_video:
            objects = set(expression.object_ids or ())
            partners = [e for e in of_video if objects.isdisjoint(e.object_ids or ())]
            if partners:
                draw = random.Random(f"{seed}/{video_id}/{expression.expression_id}")
                chosen[video_id, expression.expression_id] = draw.choice(partners)
    return chosen


def check_ground_truth(dataset: Split) -> None:
    """Refuse a split on which nothing can be measured.

    Raises:
        UserError: if the split has no ground truth, or expressions do not name their objects.
    """
    where = f"split {dataset.split} of {dataset.name}"
    if not dataset.has_masks:
        raise UserError(
            f"{where}: no ground truth here, so nothing can be measured. Run predict.py for masks "
            "to submit, or choose a split with ground truth."
        )
    unknown = [e for e in dataset.expressions if e.object_ids is None]
    if unknown:
        raise UserError(
            f"{where}: {len(unknown)} expressions do not name their objects, the first is "
            f"{unknown[0].expression_id} of video {unknown[0].video_id}. Get its annotations again."
        )
