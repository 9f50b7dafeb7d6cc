"""J and F on the validation split: of the selection at several thresholds, and of the oracle."""

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
"""Thresholds compared in training. Comparing all thresholds would take several times as long."""
MAX_PIXELS_KEPT = 1 << 26
"""Limit of frames x height x width of cached masks: 256 small videos, or 1 of MeViS."""
MAX_ORACLE_PIXELS = 1 << 40
"""Limit of frames x height x width x tracks of all oracle searches: enough for all of
moving_shapes, or for some 250 searches among 60 tracks in videos of MeViS."""


class Finding(NamedTuple):
    """Validation result of one expression.

    Attributes:
        expression: the expression.
        scores: (N,) in the order of the expression's tracks.
        labels: (N,) bool, True for tracks that it refers to.
        curve: J and F at the configured threshold, then at those of ``GRID``.
        oracle: J and F of the oracle; None: unknown.
        breakdowns: J&F at the configured threshold, by name, such as valid_by_size/small.
    """

    expression: Expression
    scores: NDArray[np.float32]
    labels: NDArray[np.bool_]
    curve: list[Score]
    oracle: Score | None
    breakdowns: dict[str, float]


def summarize(findings: Sequence[Finding]) -> dict[str, float]:
    """Return the mean scores of a validation by log key; the oracle is NaN if unknown for all.

    The best threshold is ``best_threshold(...).lowest`` among those of ``GRID``.

    Args:
        findings: findings of all processes, at least one.
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

    Masks of large videos are read again every time. Each oracle is searched once per run, and not
    at all once ``MAX_ORACLE_PIXELS`` are spent.

    Args:
        tracks: reader of the split's tracks.
        split: expressions and ground truth.
        threshold: the configured threshold.
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
        """Return one finding per expression.

        Args:
            expressions: expressions of one video, with known objects.
            scores: for each expression (N,), in the order of its tracks.
            labels: for each expression (N,) bool, True for tracks that it refers to.
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
        """Return the curves of J and F of the union of the selected tracks by threshold.

        Args:
            expressions: see ``score``.
            scores: see ``score``.
            thresholds: ascending thresholds at which the curves will be read.
            source: only tracks of this prompt source may be selected; None: all tracks.
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
        """Read the tracks of a video for all its expressions."""
        return self._tracks.read(self._expressions[video_id])

    def tracks_of(self, expression: Expression) -> tuple[int, ...]:
        """Return the candidate tracks of an expression, as indices among the video's tracks."""
        return self._open(expression.video_id)[0].candidates[expression.expression_id]

    def size_group(self, expression: Expression) -> str:
        """Return the size label of an expression's objects, see ``groups_of``."""
        scorer = self._open(expression.video_id)[1]
        return groups_of(expression, scorer.union(expression.object_ids or ()))["size"]

    def oracle(self, expression: Expression) -> Score | None:
        """Return J and F of the best selection of an expression's tracks, see ``best_selection``.

        None if it is not known yet and ``MAX_ORACLE_PIXELS`` are spent.
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
