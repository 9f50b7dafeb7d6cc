"""J and F of a selection at every threshold: one step function per expression, and their mean.

A selection changes only where the threshold passes a score of a track. So a curve has one value
more than its tracks have distinct scores.
"""

import math
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sola.evaluation.video_scorer import Score, VideoScorer

# thresholds at which curves are reported
CURVE_THRESHOLDS = tuple(round(0.01 * step, 2) for step in range(1, 100))
EQUAL = 1e-12  # means of J&F that differ by less are equal up to rounding


@dataclass(frozen=True)
class Curve:
    """Scores of the selection of one expression, by threshold.

    Attributes:
        steps: K distinct scores of its tracks, ascending.
        values: K + 1 values; value k belongs to the tracks that score above k of the steps.
    """

    steps: tuple[float, ...]
    values: tuple[Score, ...]

    def at(self, threshold: float) -> Score:
        """Return J and F of the tracks that score above a threshold."""
        return self.values[bisect_right(self.steps, threshold)]


class Scored(NamedTuple):
    """Tracks of a video with their scores for an expression, and the objects that it refers to."""

    tracks: Sequence[int]
    scores: Sequence[float]
    object_ids: Sequence[str]


class MeanCurve(NamedTuple):
    """Means over expressions by threshold, a step function.

    Attributes:
        steps: (K,) thresholds at which a mean changes, ascending.
        j: (K + 1,) mean J; value k holds from step k - 1 up to step k.
        boundary_f: (K + 1,) mean F, likewise.
    """

    steps: NDArray[np.float64]
    j: NDArray[np.float64]
    boundary_f: NDArray[np.float64]

    @property
    def jf(self) -> NDArray[np.float64]:
        """J&F: (K + 1,)."""
        return (self.j + self.boundary_f) / 2

    def at(self, threshold: float) -> Score:
        """Return the means of the selections at a threshold."""
        place = np.searchsorted(self.steps, threshold, side="right")
        return Score(float(self.j[place]), float(self.boundary_f[place]))


class BestThreshold(NamedTuple):
    """The threshold with the highest mean J&F.

    Attributes:
        threshold: middle of the best interval, rounded to the fewest decimals that stay inside it.
        lowest: start of the interval.
        end: end of the interval; J&F differs there, unless the end is 1.
    """

    threshold: float
    lowest: float
    end: float


def trace(
    scorer: VideoScorer, scored: Sequence[Scored], *, thresholds: Sequence[float] | None = None
) -> list[Curve]:
    """Compute the curves of some expressions of one video.

    Args:
        scorer: scorer of the video.
        scored: for each expression the tracks to select from and the objects to compare with.
        thresholds: ascending thresholds at which the curves will be read; None: all thresholds.

    Raises:
        UserError: if an object has no masklet.
    """
    if thresholds is not None:
        scored = [_coarsen(each, thresholds) for each in scored]
    groups = [_by_score(each) for each in scored]
    found = scorer.score_growing(
        [
            ([tracks for _, tracks in of_one], each.object_ids)
            for of_one, each in zip(groups, scored, strict=True)
        ]
    )
    return [
        Curve(tuple(score for score, _ in reversed(of_one)), tuple(reversed(values)))
        for of_one, values in zip(groups, found, strict=True)
    ]


def mean_curve(curves: Sequence[Curve]) -> MeanCurve:
    """Return the mean of at least one curve at every threshold."""
    steps = np.array([step for curve in curves for step in curve.steps], dtype=np.float64)
    changes = [change for curve in curves for change in np.diff(curve.values, axis=0)]
    distinct, place = np.unique(steps, return_inverse=True)
    sums = np.zeros((len(distinct) + 1, 2))
    sums[0] = np.sum([curve.values[0] for curve in curves], axis=0)
    np.add.at(sums, place + 1, np.array(changes).reshape(-1, 2))
    j, boundary_f = np.cumsum(sums, axis=0).T / len(curves)
    return MeanCurve(distinct, j, boundary_f)


def best_threshold(steps: Sequence[float] | NDArray[np.float64], jf: NDArray[Any]) -> BestThreshold:
    """Return the threshold in [0, 1] with the highest mean J&F.

    The highest J&F holds over an interval: the result is its middle. Of several such intervals the
    widest is taken, and the first of equally wide ones. If J&F is known only at some thresholds,
    pass these as the steps: the best of them is ``lowest``.

    Args:
        steps: (K,) thresholds at which J&F changes, ascending.
        jf: (K + 1,) J&F from each step on; the first value holds below all steps, -inf if unknown.
    """
    steps = np.asarray(steps)
    limits = np.concatenate([[0.0], steps[(steps > 0) & (steps < 1)], [1.0]])
    first = int(np.searchsorted(steps, 0.0, side="right"))  # the value at threshold 0
    jf = jf[first : first + len(limits) - 1]
    is_best = np.concatenate([[False], jf >= jf.max() - EQUAL, [False]])
    edges = np.flatnonzero(is_best[1:] != is_best[:-1]).reshape(-1, 2)  # (intervals, 2)
    lowest, end = max(limits[edges].tolist(), key=lambda interval: interval[1] - interval[0])
    rounded = (round((lowest + end) / 2, digits) for digits in range(1, 18))
    inside = next((value for value in rounded if lowest < value < end), lowest)
    return BestThreshold(inside, lowest, end)


def _coarsen(scored: Scored, thresholds: Sequence[float]) -> Scored:
    """Merge scores that no threshold separates; the selections at the thresholds stay the same."""
    raised = [*thresholds[1:], math.inf]  # equivalent to every score up to the next threshold
    kept = [
        (idx, raised[bisect_left(thresholds, score) - 1])
        for idx, score in zip(scored.tracks, scored.scores, strict=True)
        if score > thresholds[0]
    ]
    return scored._replace(tracks=[idx for idx, _ in kept], scores=[score for _, score in kept])


def _by_score(scored: Scored) -> list[tuple[float, list[int]]]:
    """Return the distinct scores, highest first, and the tracks that have each."""
    pairs = sorted(zip(scored.scores, scored.tracks, strict=True), reverse=True)
    groups = groupby(pairs, key=lambda pair: pair[0])
    return [(score, [idx for _, idx in group]) for score, group in groups]
