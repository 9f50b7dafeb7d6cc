"""J and F of selections on the validation split, kept from one epoch to the next."""

from collections import OrderedDict
from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from sola.evaluation.scorer import Score, VideoScorer
from sola.evaluation.tracks import VideoTracks
from sola.types import Expression, Masklet

MAX_PIXELS_KEPT = 1 << 26
"""Frames x height x width of the videos whose masks are kept: 256 small videos, or 1 of MeViS."""


class ValidationScorer:
    """Scores the tracks selected for an expression against its objects.

    Each selection is scored once for the whole run; masks of large videos are read again.

    Args:
        tracks: video id -> its tracks, those of all its expressions.
        ground_truth: video id -> masklets of its objects by id.
    """

    def __init__(
        self,
        tracks: Callable[[str], VideoTracks],
        ground_truth: Callable[[str], Mapping[str, Masklet]],
    ) -> None:
        self._tracks, self._ground_truth = tracks, ground_truth
        self._scorers: OrderedDict[str, VideoScorer] = OrderedDict()
        self._candidates: dict[str, dict[str, tuple[int, ...]]] = {}
        self._scores: dict[tuple[str, frozenset[int], frozenset[str]], Score] = {}

    def score(self, expression: Expression, is_selected: NDArray[np.bool_]) -> Score:
        """J and F of the union of the selected tracks.

        Args:
            expression: one with known objects.
            is_selected: (N,) bool, by the order of the expression's tracks.
        """
        assert expression.object_ids is not None, "labels were read before"
        video_id, objects = expression.video_id, frozenset(expression.object_ids)
        if video_id not in self._candidates:
            self._scorer(video_id)
        tracks = self._candidates[video_id][expression.expression_id]
        assert len(tracks) == len(is_selected), "scores are those of the expression's tracks"
        key = (video_id, frozenset(tracks[idx] for idx in np.flatnonzero(is_selected)), objects)
        if key not in self._scores:
            self._scores[key] = self._scorer(video_id).score(key[1], objects)
        return self._scores[key]

    def _scorer(self, video_id: str) -> VideoScorer:
        if video_id not in self._scorers:
            video = self._tracks(video_id)
            self._candidates[video_id] = video.candidates
            self._scorers[video_id] = VideoScorer(video.masklets, self._ground_truth(video_id))
        self._scorers.move_to_end(video_id)
        while (
            len(self._scorers) > 1 and sum(map(_pixels, self._scorers.values())) > MAX_PIXELS_KEPT
        ):
            self._scorers.popitem(last=False)
        return self._scorers[video_id]


def _pixels(scorer: VideoScorer) -> int:
    return scorer.num_frames * scorer.size[0] * scorer.size[1]
