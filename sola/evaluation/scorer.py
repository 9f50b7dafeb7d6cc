"""J and F of any choice of a video's tracks against any of its objects, each computed once."""

from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sola.errors import UserError
from sola.masks import (
    Runs,
    common_length,
    common_size,
    empty_runs,
    find_runs,
    jaccard,
    merge,
    pack_runs,
    unite,
)
from sola.metrics.boundary import Boundary, f_measures, tolerance_radius_px
from sola.metrics.growing import score_growing
from sola.types import Masklet

NUM_UNIONS_KEPT = 64
"""Unions of tracks or objects kept at a time; scores are kept for all."""


class Score(NamedTuple):
    """Means over all frames of a video, in [0, 1]."""

    j: float
    boundary_f: float

    @property
    def jf(self) -> float:
        """J&F, the mean of both."""
        return (self.j + self.boundary_f) / 2


@dataclass(frozen=True)
class _Union:
    """A union of masklets, ready to be compared."""

    runs: Runs
    radius_px: int

    @cached_property
    def boundaries(self) -> list[Boundary]:
        """Of 16 frames each."""
        return [Boundary(bits, self.radius_px) for bits in pack_runs(self.runs)]


class VideoScorer:
    """Scores selections of one video's tracks; everything that expressions share is computed once.

    Unions are taken in run-length form and in the masks' own size, on every frame, so the numbers
    are those of ``region_similarity`` and ``boundary_f_measure`` of the whole masks.

    Args:
        tracks: N masklets of T masks; N may be 0.
        ground_truth: masklets of the video's objects by id, as long and of the same size.

    Raises:
        UserError: if lengths or sizes differ.
    """

    def __init__(self, tracks: Sequence[Masklet], ground_truth: Mapping[str, Masklet]) -> None:
        masklets = [*tracks, *ground_truth.values()]
        self.tracks = tuple(tracks)
        self.ground_truth = dict(ground_truth)
        self.num_frames = common_length(masklets)
        self.size = common_size(masklets) or (1, 1)
        self._scores: dict[tuple[frozenset[int], frozenset[str]], Score] = {}
        self._runs: dict[int | str, Runs] = {}
        self._unions: OrderedDict[frozenset[int | str], _Union] = OrderedDict()

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
            UserError: if an object has no masklet.
        """
        key = (as_indices(selected), frozenset(object_ids))
        if key not in self._scores:
            self._scores[key] = self._score(*key)
        return self._scores[key]

    def score_growing(
        self, selections: Sequence[tuple[Sequence[Sequence[int]], Iterable[str]]]
    ) -> list[list[Score]]:
        """J and F of selections that begin with nothing and grow by some tracks a step.

        As ``score`` of each, at a fraction of its time: only what changes is computed anew.

        Args:
            selections: the tracks that join at every step, and the objects that are meant.

        Returns:
            For each of ``selections`` one score more than it has steps, that of nothing first.

        Raises:
            UserError: if an object has no masklet.
        """
        unions = [(steps, frozenset(object_ids)) for steps, object_ids in selections]
        tracks = {idx for steps, _ in unions for step in steps for idx in step}
        frames = score_growing(
            {idx: self._find_runs(idx) for idx in tracks},
            {object_ids: self.union(object_ids) for _, object_ids in unions},
            unions,
        )
        if self.num_frames == 0:
            return [[Score(1.0, 1.0)] * len(steps) for steps in frames]
        return [[Score(*(float(np.mean(x)) for x in step)) for step in steps] for steps in frames]

    def is_empty(self, selected: Iterable[int]) -> bool:
        """Whether the union of the selected tracks has no pixel on any frame."""
        return all(self._find_runs(idx).is_empty for idx in selected)

    def target(self, object_ids: Iterable[str]) -> Masklet:
        """Union of objects: T run-length masks; [] for no objects.

        Raises:
            UserError: if an object has no masklet.
        """
        return merge([self._masklet(name) for name in sorted(set(object_ids))])

    def union(self, members: Iterable[int] | Iterable[str]) -> Runs:
        """Union of tracks, or of objects; that of none is empty.

        Raises:
            UserError: if an object has no masklet.
        """
        return self._union(frozenset[int | str](members)).runs

    def boundaries(self, members: Iterable[int] | Iterable[str]) -> list[Boundary]:
        """Boundaries of the union of tracks, or of objects: those of 16 frames each.

        Raises:
            UserError: if an object has no masklet.
        """
        return self._union(frozenset[int | str](members)).boundaries

    def _score(self, selected: frozenset[int], object_ids: frozenset[str]) -> Score:
        preds, target = self._union(selected), self._union(object_ids)
        if self.num_frames == 0:
            return Score(1.0, 1.0)
        j = jaccard(preds.runs, target.runs)
        boundary_f = f_measures(preds.boundaries, target.boundaries)
        return Score(float(np.mean(j)), float(np.mean(boundary_f)))

    def _union(self, members: frozenset[Any]) -> _Union:
        """As ``union``, ready to be compared; those asked for last are kept."""
        if members not in self._unions:
            parts = [self._find_runs(member) for member in members]
            runs = unite(parts) if parts else empty_runs(self.num_frames, self.size)
            self._unions[members] = _Union(runs, tolerance_radius_px(self.size))
        self._unions.move_to_end(members)
        while len(self._unions) > NUM_UNIONS_KEPT:
            self._unions.popitem(last=False)
        return self._unions[members]

    def _find_runs(self, member: int | str) -> Runs:
        if member not in self._runs:
            self._runs[member] = find_runs(self._masklet(member), self.size)
        return self._runs[member]

    def _masklet(self, member: int | str) -> Masklet:
        """That of a track by its number, or of an object by its id."""
        if isinstance(member, int):
            return self.tracks[member]
        if member not in self.ground_truth:
            raise UserError(
                f"object {member!r} has no ground-truth masks; there are masks of "
                f"{sorted(self.ground_truth)}. Check the annotations of the data set."
            )
        return self.ground_truth[member]


def as_indices(selected: Iterable[int] | NDArray[np.bool_]) -> frozenset[int]:
    """Track indices of a selection given as indices or as (N,) bool."""
    if isinstance(selected, np.ndarray) and selected.dtype == np.bool_:
        return frozenset(np.flatnonzero(selected).tolist())
    return frozenset(int(idx) for idx in selected)
