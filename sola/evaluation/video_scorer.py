"""Score selections of a video's tracks against its objects by J and F, with a cache."""

from collections.abc import Iterable, Mapping, Sequence
from functools import cache, lru_cache
from typing import NamedTuple

import numpy as np

from sola.errors import UserError
from sola.masks import common_size
from sola.masks.frame_bits import pack_runs
from sola.masks.run_length import common_length
from sola.masks.runs import Runs, empty_runs, find_runs, jaccard, unite
from sola.metrics.boundary import Boundary, f_measures, tolerance_radius_px
from sola.metrics.growing import score_growing
from sola.types import Masklet

MAX_UNIONS = 64  # unions kept in memory; all scores are kept


class Score(NamedTuple):
    """Means over all frames of a video, in [0, 1]."""

    j: float
    boundary_f: float

    @property
    def jf(self) -> float:
        """J&F, the mean of both."""
        return (self.j + self.boundary_f) / 2

    def by_name(self) -> dict[str, float]:
        """Return J, F and J&F by these names."""
        return {"J": self.j, "F": self.boundary_f, "J&F": self.jf}


class VideoScorer:
    """Scores selections of one video's tracks; work that expressions share is done once.

    Scores equal those of ``region_similarity`` and ``boundary_f_measure`` on the whole masks.

    Args:
        tracks: N masklets of T masks; N may be 0.
        ground_truth: masklets of the video's objects by id, of the same length and size.

    Raises:
        ValueError: if lengths or sizes differ.
    """

    def __init__(self, tracks: Sequence[Masklet], ground_truth: Mapping[str, Masklet]) -> None:
        self.tracks, self.ground_truth = tuple(tracks), dict(ground_truth)
        masklets = [*tracks, *ground_truth.values()]
        self.num_frames = common_length(masklets)
        self.size = common_size(masklets) or (1, 1)
        self._scores: dict[tuple[frozenset[int], frozenset[str]], Score] = {}
        self._find_runs = cache(lambda member: find_runs(self._masklet(member), self.size))
        self._union = lru_cache(MAX_UNIONS)(self._unite)
        self._boundaries = lru_cache(MAX_UNIONS)(self._find_boundaries)

    def score(self, selected: Iterable[int], object_ids: Iterable[str]) -> Score:
        """Score the union of the selected tracks against the union of the objects.

        Args:
            selected: indices of tracks; may be empty.
            object_ids: objects that an expression refers to; may be empty: then only frames with an
                empty answer score.

        Returns:
            Means over the frames; J and F are 1 if there are neither tracks nor objects.

        Raises:
            UserError: if an object has no masklet.
        """
        preds, target = frozenset(map(int, selected)), frozenset(object_ids)
        if (preds, target) not in self._scores:
            j = jaccard(self._union(preds), self._union(target))
            if self.num_frames == 0:
                return Score(1.0, 1.0)
            boundary_f = f_measures(self._boundaries(preds), self._boundaries(target))
            found = Score(float(np.mean(j)), float(np.mean(boundary_f)))
            self._scores[preds, target] = found
        return self._scores[preds, target]

    def score_growing(
        self, selections: Sequence[tuple[Sequence[Sequence[int]], Iterable[str]]]
    ) -> list[list[Score]]:
        """Score selections that start empty and gain some tracks at every step.

        Scores equal those of ``score``, but only what changes is computed again.

        Args:
            selections: for each selection the tracks added at every step, and the target objects.

        Returns:
            For each selection one score more than it has steps; the first is of no tracks.

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
        return [[Score(*step) for step in steps.mean(axis=-1).tolist()] for steps in frames]

    def union(self, members: Iterable[int] | Iterable[str]) -> Runs:
        """Return the union of tracks or of objects, possibly of none.

        Raises:
            UserError: if an object has no masklet.
        """
        return self._union(frozenset[int | str](members))

    def _unite(self, members: frozenset[int | str]) -> Runs:
        parts = [self._find_runs(member) for member in members]
        return unite(parts) if parts else empty_runs(self.num_frames, self.size)

    def _find_boundaries(self, members: frozenset[int | str]) -> list[Boundary]:
        """Return the boundaries of a union, in blocks of 16 frames."""
        radius_px = tolerance_radius_px(self.size)
        return [Boundary(bits, radius_px) for bits in pack_runs(self._union(members))]

    def _masklet(self, member: int | str) -> Masklet:
        """Return the masklet of a track by its index, or of an object by its id."""
        if isinstance(member, int):
            return self.tracks[member]
        if member not in self.ground_truth:
            raise UserError(
                f"object {member!r}: has no ground-truth masks, only {sorted(self.ground_truth)} "
                "have. Check the annotations of the data set."
            )
        return self.ground_truth[member]
