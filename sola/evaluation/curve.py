"""J and F of a selection at every threshold: one step function an expression, and their mean.

A selection changes only where the threshold passes a score of its tracks, so an expression has as
many values as its tracks have distinct scores, and one more; nothing between them is computed.
"""

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sola.evaluation.scorer import Score, VideoScorer

CURVE_THRESHOLDS = tuple(round(0.01 * step, 2) for step in range(1, 100))
"""Those at which curves are written down."""
EQUAL = 1e-12
"""Means of J&F that differ by less are equally good: they differ by rounding."""


@dataclass(frozen=True)
class Curve:
    """Scores of one expression's selection, by threshold."""

    steps: tuple[float, ...]
    """K distinct scores of its tracks, ascending."""
    values: tuple[Score, ...]
    """K + 1: the k-th, counted from 0, is of the tracks with a higher score than k of these."""
    is_empty: tuple[bool, ...]
    """K + 1: whether these tracks have no pixel on any frame."""

    def place(self, threshold: float) -> int:
        """Which of the values is that of a threshold; a track is selected above it."""
        return bisect_right(self.steps, threshold)

    def at(self, threshold: float) -> Score:
        """J and F at a threshold."""
        return self.values[self.place(threshold)]


class Scored(NamedTuple):
    """Tracks of a video with their scores for an expression, and the objects that it means."""

    tracks: Sequence[int]
    scores: Sequence[float]
    object_ids: Sequence[str]


class MeanCurve(NamedTuple):
    """Means over expressions, by threshold: a step function as ``Curve`` is."""

    steps: NDArray[np.float64]
    """(K,) distinct scores of all expressions' tracks, ascending."""
    j: NDArray[np.float64]
    """(K + 1,)."""
    boundary_f: NDArray[np.float64]
    """(K + 1,)."""


@dataclass(frozen=True)
class BestThreshold:
    """The threshold with the highest mean J&F."""

    threshold: float
    """Amid the interval: its middle, rounded to as few decimals as stay inside."""
    lowest: float
    """Where the interval begins."""
    end: float
    """Where it ends; at this threshold J&F is another one, if it is not 1."""


def trace(
    scorer: VideoScorer, scored: Sequence[Scored], *, thresholds: Sequence[float] | None = None
) -> list[Curve]:
    """The curves of some expressions of one video, one each.

    Args:
        scorer: of the video.
        scored: what to select from for each expression, and to compare with.
        thresholds: the only ones at which the curves are needed, ascending; None: at all.

    Raises:
        ValueError: if an object has no masklet.
    """
    if thresholds is not None:
        scored = [_coarsen(each, thresholds) for each in scored]
    groups = [list(_by_score(each)) for each in scored]
    found = scorer.score_growing(
        [
            ([tracks for _, tracks in of_one], each.object_ids)
            for of_one, each in zip(groups, scored, strict=True)
        ]
    )
    return [_as_curve(scorer, *each) for each in zip(groups, found, strict=True)]


def mean_curve(curves: Sequence[Curve]) -> MeanCurve:
    """The mean of some curves, at least one, at every threshold."""
    steps = np.array([step for curve in curves for step in curve.steps], dtype=np.float64)
    changes = np.array(
        [change for curve in curves for change in np.diff(curve.values, axis=0)]
    ).reshape(-1, 2)
    distinct, place = np.unique(steps, return_inverse=True)
    sums = np.zeros((len(distinct) + 1, 2))
    sums[0] = np.sum([curve.values[0] for curve in curves], axis=0)
    np.add.at(sums, place + 1, changes)
    j, boundary_f = np.cumsum(sums, axis=0).T / len(curves)
    return MeanCurve(distinct, j, boundary_f)


def best_threshold(curve: MeanCurve) -> BestThreshold:
    """The threshold in [0, 1] with the highest mean J&F.

    Where it is the same over an interval, the middle of it; of several such intervals, the middle
    of the widest, the first of equals.
    """
    is_inside = (curve.steps > 0) & (curve.steps < 1)
    limits = np.concatenate([[0.0], curve.steps[is_inside], [1.0]])
    first = int(np.searchsorted(curve.steps, 0.0, side="right"))  # the value at threshold 0
    jf = ((curve.j + curve.boundary_f) / 2)[first : first + len(limits) - 1]
    is_best = np.concatenate([[False], jf >= jf.max() - EQUAL, [False]])
    edges = np.flatnonzero(is_best[1:] != is_best[:-1]).reshape(-1, 2)  # (intervals, 2)
    lowest, end = max(limits[edges].tolist(), key=lambda interval: interval[1] - interval[0])
    return BestThreshold(_shortest_between(lowest, end), lowest, end)


def _coarsen(scored: Scored, thresholds: Sequence[float]) -> Scored:
    """The same selection at the thresholds, and as few scores as that needs."""
    raised = [*thresholds[1:], math.inf]  # as good as any score up to there
    kept = [
        (idx, raised[bisect_left(thresholds, score) - 1])
        for idx, score in zip(scored.tracks, scored.scores, strict=True)
        if score > thresholds[0]
    ]
    return scored._replace(tracks=[idx for idx, _ in kept], scores=[score for _, score in kept])


def _by_score(scored: Scored) -> Iterator[tuple[float, list[int]]]:
    """Scores, highest first, and the tracks that have each."""
    pairs = sorted(zip(scored.scores, scored.tracks, strict=True), reverse=True)
    for score, group in groupby(pairs, lambda pair: pair[0]):
        yield score, [idx for _, idx in group]


def _as_curve(
    scorer: VideoScorer, groups: Sequence[tuple[float, list[int]]], scores: Sequence[Score]
) -> Curve:
    is_empty = [True]
    for _, tracks in groups:
        is_empty.append(is_empty[-1] and scorer.is_empty(tracks))
    return Curve(
        steps=tuple(score for score, _ in reversed(groups)),
        values=tuple(reversed(scores)),
        is_empty=tuple(reversed(is_empty)),
    )


def _shortest_between(lowest: float, end: float) -> float:
    """The middle of an interval, rounded to as few decimals as stay inside."""
    middle = (lowest + end) / 2
    rounded = (round(middle, digits) for digits in range(1, 18))
    return next((value for value in rounded if lowest < value < end), lowest)
