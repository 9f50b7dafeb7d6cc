"""J and F of selections on the validation split, at every threshold, and those of the oracle."""

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchmetrics import Metric

from sola.evaluation.curve import Curve, Scored, trace
from sola.evaluation.groups import groups_of
from sola.evaluation.oracle import best_selection
from sola.evaluation.scorer import Score, VideoScorer
from sola.evaluation.tracks import VideoTracks
from sola.types import Expression, Masklet

VALID_J, VALID_F, VALID_JF = "valid/J", "valid/F", "valid/J&F"
VALID_J_BEST, VALID_F_BEST, VALID_JF_BEST = "valid/J_best", "valid/F_best", "valid/J&F_best"
VALID_THRESHOLD_BEST = "valid/threshold_best"
VALID_ORACLE_JF = "valid/oracle_J&F"
GRID = tuple(round(0.05 * step, 2) for step in range(1, 20))
"""Thresholds compared in training. The curve of all takes a validation several times as long."""
MAX_PIXELS_KEPT = 1 << 26
"""Frames x height x width of the videos whose masks are kept: 256 small videos, or 1 of MeViS."""
MAX_ORACLE_PIXELS = 1 << 40
"""Frames x height x width x tracks that the oracle is searched for in: all of moving_shapes, and
some 250 choices of 60 tracks in videos of MeViS."""


@dataclass(frozen=True)
class ScoredBatch:
    """What a validation step found of its expressions, which are of one video."""

    expressions: tuple[Expression, ...]
    """B."""
    scores: list[NDArray[np.float32]]
    """B arrays (N,), by the order of the expression's tracks."""
    labels: list[NDArray[np.bool_]]
    """B arrays (N,), tracks that the expression means."""
    curves: list[Curve]
    """B, exact at the configured threshold and at those of ``GRID``."""
    oracles: list[Score | None]
    """B; None: not known."""


class ValidationScorer:
    """Scores the tracks selected for an expression against its objects.

    Masks of large videos are read again every time. What the oracle reaches is computed once for
    the whole run, and only of the first videos where that would take long.

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
        self._scorers: OrderedDict[str, VideoScorer] = OrderedDict()
        self._candidates: dict[str, dict[str, tuple[int, ...]]] = {}
        self._track_sources: dict[str, tuple[str, ...]] = {}
        self._oracle: dict[tuple[str, tuple[int, ...], tuple[str, ...]], Score] = {}
        self._num_oracle_pixels = 0

    def trace(
        self,
        expressions: Sequence[Expression],
        scores: Sequence[NDArray[np.float32]],
        *,
        thresholds: Sequence[float],
    ) -> list[Curve]:
        """J and F of the union of the selected tracks, by threshold.

        Args:
            expressions: of one video, with known objects.
            scores: of each (N,), by the order of the expression's tracks.
            thresholds: the only ones at which the curves are needed, ascending.
        """
        video_id = expressions[0].video_id
        scorer, scored = self._scorer(video_id), self._join(expressions, scores)
        return trace(scorer, scored, thresholds=thresholds)

    def trace_source(
        self,
        source: str,
        expressions: Sequence[Expression],
        scores: Sequence[NDArray[np.float32]],
        *,
        threshold: float,
    ) -> list[Score]:
        """As ``trace``, of the selected tracks of one prompt source alone, at one threshold."""
        scorer = self._scorer(expressions[0].video_id)
        sources = self._track_sources[expressions[0].video_id]
        own = []
        for each in self._join(expressions, scores):
            pairs = zip(each.tracks, each.scores, strict=True)
            kept = [(idx, score) for idx, score in pairs if sources[idx] == source]
            tracks, of_tracks = [idx for idx, _ in kept], [score for _, score in kept]
            own.append(each._replace(tracks=tracks, scores=of_tracks))
        return [curve.at(threshold) for curve in trace(scorer, own, thresholds=[threshold])]

    def tracks_of(self, expression: Expression) -> tuple[int, ...]:
        """The tracks that may answer an expression, by their place among those of the video."""
        if expression.video_id not in self._candidates:
            self._scorer(expression.video_id)
        return self._candidates[expression.video_id][expression.expression_id]

    def groups(self, expression: Expression) -> dict[str, str]:
        """The groups that an expression belongs to, see ``groups_of``."""
        target = self._scorer(expression.video_id).union(expression.object_ids or ())
        return groups_of(expression, target)

    def oracle(self, expression: Expression) -> Score | None:
        """J and F of the best selection of an expression's tracks, see ``best_selection``.

        None once ``MAX_ORACLE_PIXELS`` are spent, for what is not known by then.
        """
        video_id = expression.video_id
        key = (video_id, *self._answers(expression))
        if key not in self._oracle and self._num_oracle_pixels < MAX_ORACLE_PIXELS:
            _, tracks, objects = key
            scorer = self._scorer(video_id)
            self._oracle[key] = best_selection(scorer, objects, tracks).score
            self._num_oracle_pixels += _pixels(scorer) * len(tracks)
        return self._oracle.get(key)

    def _answers(self, expression: Expression) -> tuple[tuple[int, ...], tuple[str, ...]]:
        """Tracks that may answer, and the objects that are meant."""
        assert expression.object_ids is not None, "labels were read before"
        return self.tracks_of(expression), tuple(sorted(expression.object_ids))

    def _join(
        self, expressions: Sequence[Expression], scores: Sequence[NDArray[np.float32]]
    ) -> list[Scored]:
        """What to select from for expressions of one video."""
        assert len({e.video_id for e in expressions}) == 1, "expressions of several videos"
        scored = []
        for expression, row in zip(expressions, scores, strict=True):
            tracks, objects = self._answers(expression)
            assert len(tracks) == len(row), "scores are those of the expression's tracks"
            scored.append(Scored(tracks, row.tolist(), objects))
        return scored

    def _scorer(self, video_id: str) -> VideoScorer:
        if video_id not in self._scorers:
            video = self.read(video_id)
            self._candidates[video_id] = video.candidates
            self._track_sources[video_id] = tuple(prompt.source for prompt in video.prompts)
            self._scorers[video_id] = VideoScorer(video.masklets, self._ground_truth(video_id))
        self._scorers.move_to_end(video_id)
        while (
            len(self._scorers) > 1 and sum(map(_pixels, self._scorers.values())) > MAX_PIXELS_KEPT
        ):
            self._scorers.popitem(last=False)
        return self._scorers[video_id]


class ThresholdMeans(Metric):
    """Mean J, F and J&F at several thresholds, and those of the oracle.

    Keeps sums and a count alone, so that processes of a distributed run add theirs up.

    Args:
        threshold: the configured one; the others are ``GRID``.
        kwargs: of ``torchmetrics.Metric``.
    """

    is_differentiable = False
    full_state_update = False
    sums: Tensor
    oracle_sums: Tensor
    num_expressions: Tensor
    num_oracles: Tensor

    def __init__(self, threshold: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.thresholds = (threshold, *GRID)
        sums = torch.zeros(len(self.thresholds), 2, dtype=torch.float64)
        self.add_state("sums", sums, dist_reduce_fx="sum")
        self.add_state("oracle_sums", sums[0].clone(), dist_reduce_fx="sum")
        self.add_state("num_expressions", torch.tensor(0), dist_reduce_fx="sum")
        self.add_state("num_oracles", torch.tensor(0), dist_reduce_fx="sum")

    def update(self, curves: Sequence[Curve], oracle: Sequence[Score | None]) -> None:
        """Adds some expressions; None: the oracle of one is not known."""
        for curve, best in zip(curves, oracle, strict=True):
            values = [curve.at(threshold) for threshold in self.thresholds]
            self.sums += torch.tensor(values, dtype=torch.float64).to(self.sums.device)
            if best is not None:
                self.oracle_sums += torch.tensor(best, dtype=torch.float64).to(self.sums.device)
                self.num_oracles += 1
        self.num_expressions += len(curves)

    def compute(self) -> dict[str, float]:
        """The means so far, by what logs call them; NaN where no expression was added.

        The best threshold is the first of ``GRID`` with the highest J&F.
        """
        means = (self.sums / self.num_expressions).cpu()
        jf = means.mean(dim=1)
        best = 1 + int(jf[1:].argmax())
        return {
            VALID_J: float(means[0, 0]),
            VALID_F: float(means[0, 1]),
            VALID_JF: float(jf[0]),
            VALID_J_BEST: float(means[best, 0]),
            VALID_F_BEST: float(means[best, 1]),
            VALID_JF_BEST: float(jf[best]),
            VALID_THRESHOLD_BEST: self.thresholds[best],
            VALID_ORACLE_JF: float((self.oracle_sums / self.num_oracles).mean()),
        }


def _pixels(scorer: VideoScorer) -> int:
    return scorer.num_frames * scorer.size[0] * scorer.size[1]
