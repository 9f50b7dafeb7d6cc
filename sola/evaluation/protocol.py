"""What is measured of each expression: the selection, and the answers it is compared with."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from sola.config.progress import progress
from sola.evaluation.oracle import OracleOfVideo
from sola.evaluation.other_text import choose_other_texts
from sola.evaluation.scorer import Score, VideoScorer
from sola.evaluation.scores import Scores, group_by_video
from sola.evaluation.tracks import TrackSources, VideoTracks
from sola.masks import areas
from sola.types import Expression, Masklet, Video

PROTOCOL = (
    "union of the selected masklets against union of the expression's objects, every frame; J and "
    "boundary F (tolerance 0.008 of the diagonal), a frame empty in both scores 1; mean over "
    "frames, then over expressions"
)
SELECTION = "selection"
ORACLE = "oracle"
ALL_TRACKS = "all_tracks"
LARGEST_TRACK = "largest_track"
NONE = "none"
OTHER_TEXT = "other_text"
ANSWERS = (SELECTION, ORACLE, ALL_TRACKS, LARGEST_TRACK, NONE)
"""Answers that every expression has; ``OTHER_TEXT`` exists where the video has a partner for it."""


class Benchmark(Protocol):
    """What is needed of a data set (``sola.datasets.Split``)."""

    name: str
    split: str

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


@dataclass(frozen=True)
class ExpressionResult:
    """Everything measured of one expression."""

    expression: Expression
    answers: dict[str, Answer]
    """By name: ``ANSWERS``, and ``OTHER_TEXT`` where it exists."""
    oracle_is_exact: bool
    other_expression_id: str | None
    """Expression whose text was given instead in ``OTHER_TEXT``."""
    curve: tuple[Score, ...]
    """Score of the selection at each of the curve's thresholds."""


def evaluate_expressions(
    dataset: Benchmark,
    sources: TrackSources,
    scores: Scores,
    *,
    threshold: float,
    seed: int,
    curve_thresholds: Sequence[float] = (),
) -> list[ExpressionResult]:
    """Measures every expression of a split.

    Args:
        dataset: the split, with ground truth.
        sources: its tracks; an expression without any is answered by empty masks.
        scores: of every expression, also under the other texts of this seed.
        threshold: a track is selected when its score is above this.
        seed: of the choice of other texts.
        curve_thresholds: further thresholds at which to score the selection.

    Returns:
        One result an expression, video by video; none is left out.

    Raises:
        ValueError: if an expression's objects are unknown, scores are missing, or tracks, scores
            and ground truth do not fit.
    """
    check_ground_truth(dataset)
    others = choose_other_texts(dataset.expressions, seed)
    results = []
    videos = group_by_video(dataset.expressions)
    with progress(f"J and F of {dataset.name}/{dataset.split}", len(videos)) as advance:
        for video_id, expressions in videos.items():
            video = sources.read(expressions)
            scorer = _make_scorer(dataset, video)
            oracle = OracleOfVideo(scorer)
            for expression in expressions:
                _check_scores(scores, expression, video)
                result = measure(
                    scorer,
                    expression,
                    scores,
                    oracle,
                    threshold=threshold,
                    other=others.get((video_id, expression.expression_id)),
                    curve_thresholds=curve_thresholds,
                )
                results.append(result)
            advance("")
    return results


def measure(
    scorer: VideoScorer,
    expression: Expression,
    scores: Scores,
    oracle: OracleOfVideo,
    *,
    threshold: float,
    other: Expression | None,
    curve_thresholds: Sequence[float] = (),
) -> ExpressionResult:
    """Measures one expression; see ``evaluate_expressions``."""
    objects, tracks = expression.object_ids or (), scores.of(expression).tracks
    best = oracle(objects, tracks)
    selections = {
        SELECTION: scores.select(expression, threshold),
        ORACLE: best.selected,
        ALL_TRACKS: frozenset(tracks),
        LARGEST_TRACK: largest_track(scorer.tracks, tracks),
        NONE: frozenset[int](),
    }
    if other is not None:
        selections[OTHER_TEXT] = scores.select(expression, threshold, text_of=other)
    return ExpressionResult(
        expression=expression,
        answers={
            name: Answer(tuple(sorted(selected)), scorer.score(selected, objects))
            for name, selected in selections.items()
        },
        oracle_is_exact=best.is_exact,
        other_expression_id=None if other is None else other.expression_id,
        curve=tuple(scorer.score(scores.select(expression, t), objects) for t in curve_thresholds),
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


def _check_scores(scores: Scores, expression: Expression, video: VideoTracks) -> None:
    scored, found = scores.of(expression).tracks, video.candidates[expression.expression_id]
    if scored != found:
        raise ValueError(
            f"{expression.video_id}: scores of the tracks {list(scored)} for expression "
            f"{expression.expression_id}, which now has the tracks {list(found)}: they have "
            "changed since. Score again."
        )


def _make_scorer(dataset: Benchmark, video: VideoTracks) -> VideoScorer:
    ground_truth: Mapping[str, Masklet] = dataset.ground_truth(video.video_id)
    try:
        return VideoScorer(video.masklets, ground_truth)
    except ValueError as error:
        raise ValueError(
            f"video {video.video_id} of {dataset.name}/{dataset.split}: tracks and ground truth "
            f"do not fit: {error}"
        ) from error
