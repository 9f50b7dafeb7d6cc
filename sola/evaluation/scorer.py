"""J and F of any choice of a video's tracks against any of its objects, each computed once."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sola.masks import (
    EMPTY_CROP,
    MaskCrop,
    common_length,
    common_size,
    decode_crops,
    merge,
    shared_pixels,
)
from sola.metrics.boundary import NO_BOUNDARY, Boundary, f_measure, trace
from sola.types import Masklet

NUM_UNIONS_KEPT = 64
"""Traced unions of tracks kept at a time; their scores are kept for all."""


class Score(NamedTuple):
    """Means over all frames of a video, in [0, 1]."""

    j: float
    boundary_f: float

    @property
    def jf(self) -> float:
        """J&F, the mean of both."""
        return (self.j + self.boundary_f) / 2


@dataclass(frozen=True)
class _TracedMask:
    """A union of masks on one frame, ready to be compared."""

    crop: MaskCrop
    area: int
    boundary: Boundary


class VideoScorer:
    """Scores selections of one video's tracks; everything that expressions share is computed once.

    Unions are taken in run-length form and in the masks' own size, on every frame, so the numbers
    are those of ``region_similarity`` and ``boundary_f_measure`` of the whole masks.

    Args:
        tracks: N masklets of T masks; N may be 0.
        ground_truth: masklets of the video's objects by id, as long and of the same size.

    Raises:
        ValueError: if lengths or sizes differ.
    """

    def __init__(self, tracks: Sequence[Masklet], ground_truth: Mapping[str, Masklet]) -> None:
        masklets = [*tracks, *ground_truth.values()]
        self.tracks = tuple(tracks)
        self.ground_truth = dict(ground_truth)
        self.num_frames = common_length(masklets)
        self.size = common_size(masklets) or (1, 1)
        self._scores: dict[tuple[frozenset[int], frozenset[str]], Score] = {}
        keep = lru_cache(maxsize=NUM_UNIONS_KEPT)
        self._predicted: Callable[[frozenset[int]], list[_TracedMask]] = keep(self._trace_tracks)
        self._true: Callable[[frozenset[str]], list[_TracedMask]] = keep(self._trace_objects)

    def score(
        self, selected: Iterable[int] | NDArray[np.bool_], object_ids: Iterable[str]
    ) -> Score:
        """J and F of the union of the selected tracks against the union of the objects.

        Args:
            selected: indices of tracks, or (N,) bool; none of them answers "nowhere".
            object_ids: objects that an expression means; none of them: it means nothing in the
                video, and only an empty answer scores.

        Returns:
            Means over the frames; 1 and 1 where neither tracks nor objects were given.

        Raises:
            ValueError: if an object has no masklet.
        """
        key = (as_indices(selected), frozenset(object_ids))
        if key not in self._scores:
            self._scores[key] = self._score(*key)
        return self._scores[key]

    def target(self, object_ids: Iterable[str]) -> Masklet:
        """Union of objects: T run-length masks; [] for no objects.

        Raises:
            ValueError: if an object has no masklet.
        """
        names = sorted(set(object_ids))
        unknown = [name for name in names if name not in self.ground_truth]
        if unknown:
            raise ValueError(
                f"objects {unknown} have no ground-truth masks; there are masks of "
                f"{sorted(self.ground_truth)}. Check the annotations of the data set."
            )
        return merge([self.ground_truth[name] for name in names])

    def _score(self, selected: frozenset[int], object_ids: frozenset[str]) -> Score:
        pairs = list(zip(self._predicted(selected), self._true(object_ids), strict=True))
        if not pairs:
            return Score(1.0, 1.0)
        j = [_jaccard(preds, target) for preds, target in pairs]
        boundary_f = [f_measure(preds.boundary, target.boundary) for preds, target in pairs]
        return Score(float(np.mean(j)), float(np.mean(boundary_f)))

    def _trace_tracks(self, selected: frozenset[int]) -> list[_TracedMask]:
        return self._trace(merge([self.tracks[idx] for idx in sorted(selected)]))

    def _trace_objects(self, object_ids: frozenset[str]) -> list[_TracedMask]:
        return self._trace(self.target(object_ids))

    def _trace(self, masklet: Masklet) -> list[_TracedMask]:
        if not masklet:
            nothing = _TracedMask(EMPTY_CROP, 0, NO_BOUNDARY)
            return [nothing] * self.num_frames
        crops = decode_crops(masklet)
        return [
            _TracedMask(crop, int(np.count_nonzero(crop.inside)), trace(crop, self.size))
            for crop in crops
        ]


def as_indices(selected: Iterable[int] | NDArray[np.bool_]) -> frozenset[int]:
    """Track indices of a selection given as indices or as (N,) bool."""
    if isinstance(selected, np.ndarray) and selected.dtype == np.bool_:
        return frozenset(np.flatnonzero(selected).tolist())
    return frozenset(int(idx) for idx in selected)


def _jaccard(preds: _TracedMask, target: _TracedMask) -> float:
    shared = shared_pixels(preds.crop, target.crop)
    union = preds.area + target.area - shared
    return shared / union if union else 1.0
