"""J and F of selections on the validation split, kept from one epoch to the next."""

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from sola.evaluation.scorer import Score, VideoScorer
from sola.types import Expression, Masklet

MAX_PIXELS_KEPT = 1 << 26
"""Frames x height x width of the videos whose masks are kept: 256 small videos, or 1 of MeViS."""


class ValidationScorer:
    """Scores the tracks selected for an expression against its objects.

    Each selection is scored once for the whole run; masks of large videos are read again.

    Args:
        masklets: video id -> its N masklets, in the order of the selector's scores.
        ground_truth: video id -> masklets of its objects by id.
    """

    def __init__(
        self,
        masklets: Callable[[str], Sequence[Masklet]],
        ground_truth: Callable[[str], Mapping[str, Masklet]],
    ) -> None:
        self._masklets, self._ground_truth = masklets, ground_truth
        self._scorers: OrderedDict[str, VideoScorer] = OrderedDict()
        self._scores: dict[tuple[str, frozenset[int], frozenset[str]], Score] = {}

    def score(self, expression: Expression, is_selected: NDArray[np.bool_]) -> Score:
        """J and F of the union of the selected tracks.

        Args:
            expression: one with known objects.
            is_selected: (N,) bool.
        """
        assert expression.object_ids is not None, "labels were read before"
        video_id, objects = expression.video_id, frozenset(expression.object_ids)
        selected = frozenset(np.flatnonzero(is_selected).tolist())
        key = (video_id, selected, objects)
        if key not in self._scores:
            self._scores[key] = self._scorer(video_id).score(selected, objects)
        return self._scores[key]

    def _scorer(self, video_id: str) -> VideoScorer:
        if video_id not in self._scorers:
            masklets, ground_truth = self._masklets(video_id), self._ground_truth(video_id)
            self._scorers[video_id] = VideoScorer(masklets, ground_truth)
        self._scorers.move_to_end(video_id)
        while (
            len(self._scorers) > 1 and sum(map(_pixels, self._scorers.values())) > MAX_PIXELS_KEPT
        ):
            self._scorers.popitem(last=False)
        return self._scorers[video_id]


def _pixels(scorer: VideoScorer) -> int:
    return scorer.num_frames * scorer.size[0] * scorer.size[1]
