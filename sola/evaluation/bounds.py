"""What selections of tracks can reach at most against one target: J and F before they are scored.

F of a union costs a dilation, J next to nothing, so F is bounded in steps, each closer and dearer:

1. it is at most 1;
2. a pixel of a union's boundary is on the boundary of one of its parts, so what the union matches
   of the target's boundary is at most what its parts match: recall from above, by counts alone;
3. precision itself, which needs the union's boundary but not its surroundings.
"""

import heapq
from collections.abc import Callable, Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from sola.evaluation.scorer import Score, VideoScorer
from sola.masks import (
    FrameBits,
    Runs,
    count_by_frame,
    empty_runs,
    intersect,
    pack_runs,
    pixels_by_frame,
    shared_pixels,
    subtract,
    unite,
)
from sola.metrics.boundary import Boundary, f_of_counts
from sola.metrics.growing import GrowingUnion

SLACK = 1e-9
"""Far above rounding: a bound that is lower than a score by less may still be its equal."""
MAX_BYTES_KEPT = 1 << 28
"""Of the bits of the tracks that may be added to a selection."""
Counts = NDArray[np.int64]
Match = Callable[[frozenset[int]], tuple[Counts, Counts]]


class Target:
    """The union of some objects, and what tracks have in common with it.

    Args:
        scorer: of the video.
        object_ids: the objects; none: the target is empty.

    Raises:
        ValueError: if an object has no masklet.
    """

    def __init__(self, scorer: VideoScorer, object_ids: Sequence[str]) -> None:
        self.scorer, self.object_ids = scorer, tuple(object_ids)
        self.runs = scorer.union(self.object_ids)
        self.num_pixels = pixels_by_frame(self.runs)
        self._inside: dict[int, Counts] = {}
        self._near: dict[int, list[NDArray[np.uint16]]] = {}
        self._matched: dict[frozenset[int], tuple[Counts, Counts]] = {}

    def inside(self, track: int) -> Counts:
        """Pixels of a track inside the target: (T,)."""
        if track not in self._inside:
            self._inside[track] = shared_pixels(self.runs_of(track), self.runs)
        return self._inside[track]

    def runs_of(self, track: int) -> Runs:
        """Runs of a track."""
        return self.scorer.union([track])

    def score(self, selected: frozenset[int]) -> Score:
        """J and F of a selection."""
        return self.scorer.score(selected, self.object_ids)

    def match(self, selected: frozenset[int]) -> tuple[Counts, Counts]:
        """Pixels of a union's boundary that match the target's, and all of them: (T,) each."""
        if selected not in self._matched:
            blocks = self.boundaries
            own = self.scorer.boundaries(selected)
            matched = [a.matches(b) for a, b in zip(own, blocks, strict=True)]
            num_pixels = [a.num_pixels for a in own]
            self._matched[selected] = np.concatenate(matched), np.concatenate(num_pixels)
        return self._matched[selected]

    @property
    def boundaries(self) -> list[Boundary]:
        """Of the target, 16 frames each."""
        return self.scorer.boundaries(self.object_ids)

    def best(
        self,
        candidates: Sequence[tuple[float, frozenset[int]]],
        above: float = -1.0,
        match: Match | None = None,
    ) -> frozenset[int] | None:
        """The selection of the highest J&F; of equals one of the fewest tracks, the first of these.

        Most candidates are never scored: the search goes on with whatever has the highest bound,
        until that is below the best score.

        Args:
            candidates: J and selection.
            above: J&F that must be exceeded.
            match: how many pixels of a selection's boundary match; None: found from scratch.

        Returns:
            None where no candidate does.
        """
        match = match or self.match
        found, best = None, (above, 0, 0)
        waiting = [(-(j + 1) / 2, order, 0) for order, (j, _) in enumerate(candidates)]
        heapq.heapify(waiting)
        while waiting and -waiting[0][0] >= best[0] - SLACK:
            _, order, num_steps = heapq.heappop(waiting)
            j, selected = candidates[order]
            if num_steps < 2:
                bound = (j + self._bound_f(selected, num_steps, match)) / 2
                heapq.heappush(waiting, (-bound, order, num_steps + 1))
                continue
            rank = (self.score(selected).jf, -len(selected), -order)
            if rank > best:
                found, best = selected, rank
        return found

    def _bound_f(self, selected: frozenset[int], num_steps: int, match: Match) -> float:
        """Upper bound of mean F after some steps of two: of one track by precision first."""
        if self.scorer.num_frames == 0:
            return 1.0
        is_by_precision = num_steps == 1 or len(selected) == 1
        is_by_recall = num_steps == 1 or len(selected) != 1
        recalled = self._bound_recalled(selected) if is_by_recall else self._num_boundary
        if is_by_precision:
            matched, num_preds = match(selected)
        else:  # as if all of it matched
            matched = num_preds = np.minimum(recalled, 1)
        return float(np.mean(f_of_counts(matched, num_preds, recalled, self._num_boundary)))

    @cached_property
    def _num_boundary(self) -> Counts:
        parts = [b.num_pixels for b in self.boundaries]
        return np.concatenate(parts) if parts else np.zeros(0, np.int64)

    def _bound_recalled(self, selected: frozenset[int]) -> Counts:
        """At most so many pixels of the target's boundary match that of a union: (T,)."""
        if not selected:
            return np.zeros_like(self._num_boundary)
        near = [self._near_boundary(track) for track in selected]
        blocks = self.boundaries
        counts = [
            count_by_frame(np.bitwise_or.reduce(parts), block.masks.num_frames)
            for block, *parts in zip(blocks, *near, strict=True)
        ]
        return np.concatenate(counts)

    def _near_boundary(self, track: int) -> list[NDArray[np.uint16]]:
        """What of the target's boundary matches that of a track."""
        if track not in self._near:
            blocks = self.boundaries
            own = self.scorer.boundaries([track])
            self._near[track] = [a.near(b) for a, b in zip(blocks, own, strict=True)]
        return self._near[track]


class Additions:
    """A selection that grows, and what it would be with each of some tracks added.

    Args:
        target: what the selection is to match.
        tracks: those that may be added.
    """

    def __init__(self, target: Target, tracks: Sequence[int]) -> None:
        self.target, self.tracks = target, list(tracks)
        self.selected = frozenset[int]()
        self._inside = {idx: target.inside(idx) for idx in tracks}
        self._outside = {
            idx: pixels_by_frame(target.runs_of(idx)) - inside
            for idx, inside in self._inside.items()
        }
        self._chosen = empty_runs(target.scorer.num_frames, target.scorer.size)
        self._num_inside = np.zeros_like(target.num_pixels)
        self._num_union = target.num_pixels
        self._unions: list[GrowingUnion] = []
        self._bits: dict[int, list[FrameBits]] = {}
        self._num_bytes = 0

    def options(self) -> list[tuple[float, frozenset[int]]]:
        """J and the selection with each of the tracks added, highest J first."""
        by_j = sorted(((self._j_with(idx), idx) for idx in self.tracks), reverse=True)
        return [(j, self.selected | {idx}) for j, idx in by_j]

    def add(self, track: int) -> None:
        """Selects one more, and takes its pixels from what the others would add.

        Those that would add none are left out from then on.
        """
        self.selected |= {track}
        runs, truth = self.target.runs_of(track), self.target.runs
        new, self._chosen = subtract(runs, self._chosen), unite([self._chosen, runs])
        self._num_inside = self._num_inside + self._inside[track]
        self._num_union = self._num_union + self._outside[track]
        new_inside, new_outside = intersect(new, truth), subtract(new, truth)
        others = [idx for idx in self.tracks if idx != track]
        for idx in others:
            runs = self.target.runs_of(idx)
            self._inside[idx] = self._inside[idx] - shared_pixels(runs, new_inside)
            self._outside[idx] = self._outside[idx] - shared_pixels(runs, new_outside)
        self.tracks = [idx for idx in others if (self._inside[idx] + self._outside[idx]).any()]
        pairs = zip(pack_runs(self._chosen), self.target.boundaries, strict=True)
        self._unions = [GrowingUnion(*pair, self.target.scorer.size) for pair in pairs]

    def match(self, selected: frozenset[int]) -> tuple[Counts, Counts]:
        """As ``Target.match``, of the selection with one track added."""
        if not self.selected:
            return self.target.match(selected)
        (track,) = selected - self.selected
        pairs = zip(self._unions, self._bits_of(track), strict=True)
        matched, num_pixels = zip(*(union.with_masks(bits) for union, bits in pairs), strict=True)
        return np.concatenate(matched), np.concatenate(num_pixels)

    def _bits_of(self, track: int) -> list[FrameBits]:
        if track in self._bits:
            return self._bits[track]
        found = pack_runs(self.target.runs_of(track))
        self._num_bytes += sum(part.inside.nbytes for part in found)
        if self._num_bytes <= MAX_BYTES_KEPT:
            self._bits[track] = found
        return found

    def _j_with(self, track: int) -> float:
        inside = self._num_inside + self._inside[track]
        union = self._num_union + self._outside[track]
        return float(np.where(union == 0, 1.0, inside / np.maximum(union, 1)).mean())
