"""J and F of selections on the validation split, at several thresholds, and those of the oracle."""

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from sola.evaluation.curve import Curve, Scored, trace
from sola.evaluation.groups import groups_of
from sola.evaluation.j_and_f import Score, VideoScorer
from sola.evaluation.oracle import best_selection
from sola.evaluation.tracks import VideoTracks
from sola.types import Expression, Masklet

VALID_J, VALID_F, VALID_JF = "valid/J", "valid/F", "valid/J&F"
VALID_J_BEST, VALID_F_BEST, VALID_JF_BEST = "valid/J_best", "valid/F_best", "valid/J&F_best"
VALID_THRESHOLD_BEST = "valid/threshold_best"
VALID_ORACLE_JF = "valid/oracle_J&F"
GRID = tuple(round(0.05 * step, 2) for step in range(1, 20))
"""Thresholds compared in training. Every threshold would take several times as long."""
NUM_SCORES = len(GRID) + 2
"""Scores of an expression: at the configured threshold, at those of ``GRID``, the oracle's."""
MAX_PIXELS_KEPT = 1 << 26
"""Frames x height x width of the videos whose masks are kept: 256 small videos, or 1 of MeViS."""
MAX_ORACLE_PIXELS = 1 << 40
"""Frames x height x width x tracks that the oracle is searched for in: all of moving_shapes, and
some 250 choices of 60 tracks in videos of MeViS."""


@dataclass(frozen=True)
class ScoredBatch:
    """Scores of a validation step's expressions, which are of one video."""

    expressions: tuple[Expression, ...]
    """B."""
    scores: list[NDArray[np.float32]]
    """B arrays (N,), by the order of the expression's tracks."""
    labels: list[NDArray[np.bool_]]
    """B arrays (N,), tracks that the expression refers to."""
    curves: list[Curve]
    """B, exact at the configured threshold and at those of ``GRID``."""
    oracles: list[Score | None]
    """B; None: unknown."""

    def totals(self, threshold: float) -> NDArray[np.float64]:
        """(2, ``NUM_SCORES``, 2): sums of J and F over the expressions, and counts of the known."""
        unknown = Score(np.nan, np.nan)
        values = np.array(
            [
                [*(curve.at(each) for each in (threshold, *GRID)), oracle or unknown]
                for curve, oracle in zip(self.curves, self.oracles, strict=True)
            ]
        )
        return np.stack([np.nansum(values, axis=0), np.isfinite(values).sum(axis=0)])


def summarize(totals: Tensor, threshold: float) -> dict[str, float]:
    """Mean scores of a validation, by the names in logs; NaN where nothing was scored.

    The best threshold is the first of ``GRID`` with the highest J&F.

    Args:
        totals: (2, ``NUM_SCORES``, 2), the sum of those of all batches and processes.
        threshold: the configured one.
    """
    means = totals[0] / totals[1]
    jf = means.mean(dim=1)
    best = 1 + int(jf[1:-1].argmax())
    return {
        VALID_J: float(means[0, 0]),
        VALID_F: float(means[0, 1]),
        VALID_JF: float(jf[0]),
        VALID_J_BEST: float(means[best, 0]),
        VALID_F_BEST: float(means[best, 1]),
        VALID_JF_BEST: float(jf[best]),
        VALID_THRESHOLD_BEST: (threshold, *GRID)[best],
        VALID_ORACLE_JF: float(jf[-1]),
    }


class ValidationScorer:
    """Scores the tracks selected for an expression against its objects.

    Masks of large videos are read again every time. The oracle is searched for once in a run, and
    only in the first videos where that would take long.

    Args:
        tracks: video id -> its tracks, those of all its expressions.
        ground_truth: video id -> masklets of its objects by id.
    """

    def __init__(
        self,
        tracks: Callable[[str], VideoTracks],
        ground_truth: Callable[[str], Mapping[str, Masklet]],
    ) -> None:
        self.read, self._ground_truth = tracks, ground_truth
        self._videos: OrderedDict[str, tuple[VideoTracks, VideoScorer]] = OrderedDict()
        self._oracles: dict[tuple[str, tuple[int, ...], tuple[str, ...]], Score] = {}
        self._num_oracle_pixels = 0

    def trace(
        self,
        expressions: Sequence[Expression],
        scores: Sequence[NDArray[np.float32]],
        *,
        thresholds: Sequence[float],
        source: str | None = None,
    ) -> list[Curve]:
        """J and F of the union of the selected tracks, by threshold.

        Args:
            expressions: of one video, with known objects.
            scores: of each (N,), by the order of the expression's tracks.
            thresholds: the only ones at which the curves are needed, ascending.
            source: prompt source of the tracks that may be selected; None: all.
        """
        video, scorer = self._open(expressions[0].video_id)
        scored = []
        for expression, row in zip(expressions, scores, strict=True):
            tracks = self.tracks_of(expression)
            own = [n for n, i in enumerate(tracks) if source in (None, video.prompts[i].source)]
            objects = expression.object_ids or ()
            scored.append(Scored([tracks[n] for n in own], row[own].tolist(), objects))
        return trace(scorer, scored, thresholds=thresholds)

    def trace_source(self, source: str, *of_batch: Sequence[Any], threshold: float) -> list[Score]:
        """As ``trace``, of the selected tracks of only one prompt source, at one threshold."""
        curves = self.trace(*of_batch, thresholds=[threshold], source=source)
        return [curve.at(threshold) for curve in curves]

    def tracks_of(self, expression: Expression) -> tuple[int, ...]:
        """The tracks that may answer an expression, by their place among those of the video."""
        return self._open(expression.video_id)[0].candidates[expression.expression_id]

    def groups(self, expression: Expression) -> dict[str, str]:
        """The groups that an expression belongs to, see ``groups_of``."""
        scorer = self._open(expression.video_id)[1]
        return groups_of(expression, scorer.union(expression.object_ids or ()))

    def oracle(self, expression: Expression) -> Score | None:
        """J and F of the best selection of an expression's tracks, see ``best_selection``.

        None once ``MAX_ORACLE_PIXELS`` are spent, for what is not known by then.
        """
        scorer, tracks = self._open(expression.video_id)[1], self.tracks_of(expression)
        objects = tuple(sorted(expression.object_ids or ()))
        key = (expression.video_id, tracks, objects)
        if key not in self._oracles and self._num_oracle_pixels < MAX_ORACLE_PIXELS:
            self._oracles[key] = best_selection(scorer, objects, tracks).score
            self._num_oracle_pixels += _pixels(scorer) * len(tracks)
        return self._oracles.get(key)

    def _open(self, video_id: str) -> tuple[VideoTracks, VideoScorer]:
        if video_id not in self._videos:
            video = self.read(video_id)
            scorer = VideoScorer(video.masklets, self._ground_truth(video_id))
            self._videos[video_id] = (video, scorer)
        self._videos.move_to_end(video_id)
        while len(self._videos) > 1 and self._num_pixels() > MAX_PIXELS_KEPT:
            self._videos.popitem(last=False)
        return self._videos[video_id]

    def _num_pixels(self) -> int:
        return sum(_pixels(scorer) for _, scorer in self._videos.values())


def _pixels(scorer: VideoScorer) -> int:
    return scorer.num_frames * scorer.size[0] * scorer.size[1]
