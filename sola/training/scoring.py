"""J and F of selections on the validation split, at several thresholds, and those of the oracle."""

from collections import OrderedDict
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sola.datasets import Split
from sola.evaluation.curve import Curve, Scored, best_threshold, trace
from sola.evaluation.measure import groups_of
from sola.evaluation.oracle import best_selection
from sola.evaluation.scores import group_by_video
from sola.evaluation.tracks import VideoReader, VideoTracks
from sola.evaluation.video_scorer import Score, VideoScorer
from sola.types import Expression

VALID_J, VALID_F, VALID_JF = "valid/J", "valid/F", "valid/J&F"
VALID_J_BEST, VALID_F_BEST, VALID_JF_BEST = "valid/J_best", "valid/F_best", "valid/J&F_best"
VALID_THRESHOLD_BEST = "valid/threshold_best"
VALID_ORACLE_JF = "valid/oracle_J&F"
GRID = tuple(round(0.05 * step, 2) for step in range(1, 20))
"""Thresholds compared in training. Every threshold would take several times as long."""
MAX_PIXELS_KEPT = 1 << 26
"""Frames x height x width of the videos whose masks are kept: 256 small videos, or 1 of MeViS."""
MAX_ORACLE_PIXELS = 1 << 40
"""Frames x height x width x tracks that the oracle is searched for in: all of moving_shapes, and
some 250 choices of 60 tracks in videos of MeViS."""


class Finding(NamedTuple):
    """What a validation found of one expression.

    Attributes:
        expression: the expression.
        scores: (N,) by the order of the expression's tracks.
        labels: (N,) bool, tracks that it refers to.
        curve: J and F at the configured threshold and at those of ``GRID``.
        oracle: J and F of the oracle; None: unknown.
        breakdowns: J&F at the configured threshold, by breakdown, such as valid_by_size/small.
    """

    expression: Expression
    scores: NDArray[np.float32]
    labels: NDArray[np.bool_]
    curve: list[Score]
    oracle: Score | None
    breakdowns: dict[str, float]


def summarize(findings: Sequence[Finding]) -> dict[str, float]:
    """Mean scores of a validation, by the names in logs; NaN if no oracle is known.

    The best threshold is the one of ``GRID`` that ``best_threshold`` names the lowest.

    Args:
        findings: of all processes, at least one.
    """
    means = np.mean([found.curve for found in findings], axis=0)  # (1 + K, 2)
    jf = means.mean(axis=1)
    best = 1 + GRID.index(best_threshold(GRID, np.array([-np.inf, *jf[1:]])).lowest)
    oracles = [found.oracle.jf for found in findings if found.oracle is not None]
    return {
        VALID_J: float(means[0, 0]),
        VALID_F: float(means[0, 1]),
        VALID_JF: float(jf[0]),
        VALID_J_BEST: float(means[best, 0]),
        VALID_F_BEST: float(means[best, 1]),
        VALID_JF_BEST: float(jf[best]),
        VALID_THRESHOLD_BEST: GRID[best - 1],
        VALID_ORACLE_JF: float(np.mean(oracles)) if oracles else float("nan"),
    }


class ValidationScorer:
    """Scores the tracks selected for an expression against its objects.

    Masks of large videos are read again every time. The oracle is searched for once in a run, and
    only in the first videos where that would take long.

    Args:
        tracks: of the split.
        split: its expressions and ground truth.
        threshold: the configured one.
        sources: prompt sources of the tracks, for the breakdown by source.
    """

    def __init__(
        self, tracks: VideoReader, split: Split, threshold: float = 0.5, sources: Sequence[str] = ()
    ) -> None:
        self._tracks, self._split = tracks, split
        self._expressions = group_by_video(split.expressions)
        self.threshold, self.sources = threshold, sources
        self._videos: OrderedDict[str, tuple[VideoTracks, VideoScorer]] = OrderedDict()
        self._oracles: dict[tuple[str, tuple[int, ...], tuple[str, ...]], Score] = {}
        self._num_oracle_pixels = 0

    def score(
        self,
        expressions: Sequence[Expression],
        scores: Sequence[NDArray[np.float32]],
        labels: Sequence[NDArray[np.bool_]],
    ) -> list[Finding]:
        """What is found of some expressions.

        Args:
            expressions: of one video, with known objects.
            scores: of each (N,), by the order of the expression's tracks.
            labels: of each (N,), tracks that it refers to.
        """
        curves = self.trace(expressions, scores, thresholds=sorted({self.threshold, *GRID}))
        by_source = {}
        for source in self.sources:
            own = curves
            if len(self.sources) > 1:
                own = self.trace(expressions, scores, thresholds=[self.threshold], source=source)
            by_source[f"valid_by_source/{source}"] = [curve.at(self.threshold).jf for curve in own]
        findings = []
        for idx, expression in enumerate(expressions):
            curve = [curves[idx].at(threshold) for threshold in (self.threshold, *GRID)]
            breakdowns = {name: values[idx] for name, values in by_source.items()}
            breakdowns[f"valid_by_size/{self.size_group(expression)}"] = curve[0].jf
            if expression.kind:
                breakdowns[f"valid_by_kind/{expression.kind}"] = curve[0].jf
            oracle = self.oracle(expression)
            findings.append(
                Finding(expression, scores[idx], labels[idx], curve, oracle, breakdowns)
            )
        return findings

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
            expressions: see ``score``.
            scores: see ``score``.
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

    def read(self, video_id: str) -> VideoTracks:
        """The tracks of a video, those of all its expressions."""
        return self._tracks.read(self._expressions[video_id])

    def tracks_of(self, expression: Expression) -> tuple[int, ...]:
        """The tracks that may answer an expression, by their place among those of the video."""
        return self._open(expression.video_id)[0].candidates[expression.expression_id]

    def size_group(self, expression: Expression) -> str:
        """The size of an expression's objects, see ``groups_of``."""
        scorer = self._open(expression.video_id)[1]
        return groups_of(expression, scorer.union(expression.object_ids or ()))["size"]

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
            scorer = VideoScorer(video.masklets, self._split.ground_truth(video_id))
            self._videos[video_id] = (video, scorer)
        self._videos.move_to_end(video_id)
        kept = [_pixels(scorer) for _, scorer in self._videos.values()]
        while len(kept) > 1 and sum(kept) > MAX_PIXELS_KEPT:
            self._videos.popitem(last=False)
            del kept[0]
        return self._videos[video_id]


def _pixels(scorer: VideoScorer) -> int:
    return scorer.num_frames * scorer.size[0] * scorer.size[1]
