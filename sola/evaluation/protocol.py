"""What is measured of each expression: the selection, and the answers it is compared with."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from sola.config.progress import progress
from sola.evaluation.groups import groups_of
from sola.evaluation.oracle import OracleOfVideo
from sola.evaluation.other_text import choose_other_texts
from sola.evaluation.parallel import map_in_order
from sola.evaluation.scorer import Score, VideoScorer
from sola.evaluation.scores import Scores, group_by_video
from sola.evaluation.tracks import VideoReader, VideoTracks
from sola.masks import areas
from sola.types import Expression, Masklet, Video

SELECTION = "selection"
ORACLE = "oracle"
BEST_TRACK = "best_track"
ALL_TRACKS = "all_tracks"
LARGEST_TRACK = "largest_track"
NONE = "none"
OTHER_TEXT = "other_text"
ANSWERS = (SELECTION, ORACLE, BEST_TRACK, ALL_TRACKS, LARGEST_TRACK, NONE)
"""Answers that every expression has; ``OTHER_TEXT`` exists where the video has a partner for it."""


class Benchmark(Protocol):
    """What is needed of a data set (``sola.datasets.Split``)."""

    name: str
    split: str
    protocol: str

    @property
    def videos(self) -> dict[str, Video]:
        """Videos by id."""

    @property
    def expressions(self) -> list[Expression]:
        """All expressions of the split."""

    @property
    def has_masks(self) -> bool:
        """Whether there is ground truth."""

    def ground_truth(self, video_id: str) -> dict[str, Masklet]:
        """Masklets of a video's objects."""


@dataclass(frozen=True)
class Answer:
    """One selection of tracks and what it is worth."""

    selected: tuple[int, ...]
    """Indices among the tracks of the video."""
    score: Score
    is_empty: bool
    """Whether it has no pixel on any frame."""


@dataclass(frozen=True)
class ExpressionResult:
    """Everything measured of one expression."""

    expression: Expression
    answers: dict[str, Answer]
    """By name: ``ANSWERS``, and ``OTHER_TEXT`` where it exists."""
    oracle_is_exact: bool
    oracle_by_source: dict[str, Answer]
    """By prompt source: the best choice among its tracks alone. Those without tracks are absent."""
    groups: dict[str, str]
    """Label by group, see ``groups_of``."""
    other_expression_id: str | None
    """Expression whose text was given instead in ``OTHER_TEXT``."""
    curve: tuple[Score, ...]
    """Score of the selection at each of the curve's thresholds."""


@dataclass(frozen=True)
class VideoTask:
    """All that is needed to measure one video; plain values, which any process can take."""

    where: str
    """For messages."""
    masklets: tuple[Masklet, ...]
    track_sources: tuple[str, ...]
    """Prompt source of each track; () where they have none."""
    ground_truth: Mapping[str, Masklet]
    expressions: tuple[Expression, ...]
    scores: Scores
    """Of these expressions."""
    others: tuple[Expression | None, ...]
    """Whose text is given to each expression's tracks as well."""
    threshold: float
    curve_thresholds: tuple[float, ...]


def evaluate_expressions(
    dataset: Benchmark,
    sources: VideoReader,
    scores: Scores,
    *,
    threshold: float,
    seed: int | None,
    curve_thresholds: Sequence[float] = (),
    num_workers: int = 0,
) -> list[ExpressionResult]:
    """Measures every expression of a split.

    Args:
        dataset: the split, with ground truth.
        sources: its tracks; an expression without any is answered by empty masks.
        scores: of every expression, also under the other texts of this seed.
        threshold: a track is selected when its score is above this.
        seed: of the choice of other texts; None: none are given.
        curve_thresholds: further thresholds at which to score the selection.
        num_workers: further processes that compute, which changes time alone; 0: this one does.

    Returns:
        One result an expression, video by video; none is left out.

    Raises:
        ValueError: if an expression's objects are unknown, scores are missing, or tracks, scores
            and ground truth do not fit.
    """
    check_ground_truth(dataset)
    others = {} if seed is None else choose_other_texts(dataset.expressions, seed)
    videos = group_by_video(dataset.expressions)
    tasks = (
        VideoTask(
            where=f"video {video_id} of {dataset.name}/{dataset.split}",
            masklets=video.masklets,
            track_sources=tuple(prompt.source for prompt in video.prompts),
            ground_truth=dataset.ground_truth(video_id),
            expressions=tuple(expressions),
            scores=scores.part(expressions),
            others=tuple(others.get((video_id, e.expression_id)) for e in expressions),
            threshold=threshold,
            curve_thresholds=tuple(curve_thresholds),
        )
        for video_id, expressions in videos.items()
        for video in [_read_tracks(sources, scores, expressions)]
    )
    results = []
    with progress(f"J and F of {dataset.name}/{dataset.split}", len(videos)) as advance:
        for of_video in map_in_order(measure_video, tasks, num_workers):
            results += of_video
            advance("")
    return results


def measure_video(task: VideoTask) -> list[ExpressionResult]:
    """Measures the expressions of one video; see ``evaluate_expressions``."""
    try:
        scorer = VideoScorer(task.masklets, task.ground_truth)
    except ValueError as error:
        raise ValueError(f"{task.where}: tracks and ground truth do not fit: {error}") from error
    oracle = OracleOfVideo(scorer)
    pairs = zip(task.expressions, task.others, strict=True)
    return [_measure(task, scorer, oracle, expression, other) for expression, other in pairs]


def _measure(
    task: VideoTask,
    scorer: VideoScorer,
    oracle: OracleOfVideo,
    expression: Expression,
    other: Expression | None,
) -> ExpressionResult:
    objects, scores = expression.object_ids or (), task.scores
    tracks = scores.of(expression).tracks
    best = oracle(objects, tracks)
    by_source = {
        source: oracle(objects, own)
        for source, own in _by_source(tracks, task.track_sources).items()
    }
    selections = {
        SELECTION: scores.select(expression, task.threshold),
        # what is greedy among all tracks may end below what one source's own allow
        ORACLE: max([best, *by_source.values()], key=lambda found: found.score.jf).selected,
        BEST_TRACK: oracle.best_track(objects, tracks),
        ALL_TRACKS: frozenset(tracks),
        LARGEST_TRACK: largest_track(scorer.tracks, tracks),
        NONE: frozenset[int](),
    }
    if other is not None:
        selections[OTHER_TEXT] = scores.select(expression, task.threshold, text_of=other)

    def answer(selected: frozenset[int]) -> Answer:
        return Answer(
            selected=tuple(sorted(selected)),
            score=scorer.score(selected, objects),
            is_empty=scorer.union(selected).is_empty,
        )

    return ExpressionResult(
        expression=expression,
        answers={name: answer(selected) for name, selected in selections.items()},
        oracle_is_exact=best.is_exact,
        oracle_by_source={source: answer(found.selected) for source, found in by_source.items()},
        groups=groups_of(expression, scorer.union(objects)),
        other_expression_id=None if other is None else other.expression_id,
        curve=tuple(
            scorer.score(scores.select(expression, threshold), objects)
            for threshold in task.curve_thresholds
        ),
    )


def largest_track(masklets: Sequence[Masklet], tracks: Sequence[int]) -> frozenset[int]:
    """The largest of some tracks by pixels over all frames, the first of equals; none of none.

    Args:
        masklets: all tracks of a video.
        tracks: indices of those to choose among.
    """
    if not tracks:
        return frozenset()
    num_pixels = areas([masklets[idx] for idx in tracks]).sum(axis=1, dtype=np.int64)
    return frozenset([tracks[int(np.argmax(num_pixels))]])


def _by_source(tracks: Sequence[int], sources: Sequence[str]) -> dict[str, list[int]]:
    """The tracks of each prompt source that has any."""
    found: dict[str, list[int]] = {}
    for idx in tracks if sources else ():
        found.setdefault(sources[idx], []).append(idx)
    return found


def check_ground_truth(dataset: Benchmark) -> None:
    """Refuses a split on which nothing can be measured.

    Raises:
        ValueError: if the split has no expressions or no ground truth.
    """
    where = f"split {dataset.split} of {dataset.name}"
    if not dataset.has_masks:
        raise ValueError(
            f"{where} has no ground truth here, so nothing can be measured. Run predict.py for "
            "masks to hand in, or choose a split with ground truth."
        )
    if not dataset.expressions:
        raise ValueError(f"{where} has no expressions; check its meta_expressions.json")
    unknown = [e for e in dataset.expressions if e.object_ids is None]
    if unknown:
        raise ValueError(
            f"{where}: {len(unknown)} expressions do not say which objects they mean, the first is "
            f"{unknown[0].expression_id} of video {unknown[0].video_id}. Get its annotations again."
        )


def _read_tracks(
    sources: VideoReader, scores: Scores, expressions: Sequence[Expression]
) -> VideoTracks:
    """A video's tracks, which must be those that the scores are of."""
    video = sources.read(expressions)
    for expression in expressions:
        scored, found = scores.of(expression).tracks, video.candidates[expression.expression_id]
        if scored != found:
            raise ValueError(
                f"{expression.video_id}: scores of the tracks {list(scored)} for expression "
                f"{expression.expression_id}, which now has the tracks {list(found)}: they have "
                "changed since. Score again."
            )
    return video
