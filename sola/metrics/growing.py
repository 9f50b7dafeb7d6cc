"""Compute J and F of unions that grow step by step, updated only where a union changes.

A union keeps pixel counts (of its masks, of its boundary, and of matching boundary pixels). A new
mask changes these counts only near itself, and J and F follow from the counts exactly.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from sola.masks.frame_bits import MAX_FRAMES, FrameBits, count_by_frame, pack_frames
from sola.masks.runs import Runs
from sola.metrics.boundary import Boundary, boundary_map, dilate, f_of_counts, tolerance_radius_px

Box = NDArray[np.int64]  # ((first column, first row), (last column + 1, last row + 1))
UNION, SHARED, BOUNDARY, PREDS_MATCHING, TARGET_MATCHING = range(5)


def score_growing(
    masklets: Mapping[int, Runs],
    targets: Mapping[frozenset[str], Runs],
    unions: Sequence[tuple[Sequence[Sequence[int]], frozenset[str]]],
) -> list[NDArray[np.float64]]:
    """Score unions that start empty and gain some masklets at every step, frame by frame.

    Args:
        masklets: masklets by index, all of the same length T and size.
        targets: masklets to compare with, by the ids of their objects, of the same length and size.
        unions: for each union the masklets added at every step, and its target.

    Returns:
        One (steps + 1, 2, T) array per union: J and F of the empty union, then after every step.
    """
    scores: list[list[NDArray[np.float64]]] = [[] for _ in unions]
    num_frames = next(iter(targets.values())).num_frames if targets else 0
    for first_frame in range(0, num_frames, MAX_FRAMES):  # bounds memory for long videos
        packed = {idx: pack_frames(runs, first_frame) for idx, runs in masklets.items()}
        aims = {
            name: _Target(pack_frames(runs, first_frame), runs.size)
            for name, runs in targets.items()
        }
        for (steps, name), parts in zip(unions, scores, strict=True):
            union = _Growing(aims[name])
            rows = [union.scores()]
            for step in steps:
                union.add([packed[idx] for idx in step])
                rows.append(union.scores())
            parts.append(np.stack(rows))
    return [
        np.concatenate(parts, axis=-1) if parts else np.ones((len(steps) + 1, 2, 0))
        for (steps, _), parts in zip(unions, scores, strict=True)
    ]


class _Target:
    """Up to 16 target masks, in arrays (W, H) with a margin wider than the tolerance.

    The margin keeps every box that is widened by the tolerance inside the arrays.
    """

    def __init__(self, bits: FrameBits, size: tuple[int, int]) -> None:
        self.num_frames, self.radius_px = bits.num_frames, tolerance_radius_px(size)
        self.margin_px, self.wider = self.radius_px + 1, np.array([[-1], [1]]) * self.radius_px
        self.shape = (size[1] + 2 * self.margin_px, size[0] + 2 * self.margin_px)
        self.masks, self.boundary, self.surroundings = np.zeros((3, *self.shape), dtype=np.uint16)
        self.box, boundary = self.box_of(bits), Boundary(bits, self.radius_px)
        self.masks[_at(self.box)], self.boundary[_at(self.box)] = bits.inside, boundary.pixels
        self.surroundings[_at(self.box + self.wider)] = boundary.surroundings
        self.area = count_by_frame(bits.inside, self.num_frames)
        self.num_boundary = boundary.num_pixels

    def box_of(self, bits: FrameBits) -> Box:
        """Return the position of the masks' box in the arrays."""
        first = np.array([bits.left, bits.top]) + self.margin_px
        return np.stack([first, first + bits.inside.shape])


class _Growing:
    """A growing union of masks on up to 16 frames: five arrays of the target's shape.

    These are the union, its pixels inside the target, its boundary, the part of its boundary that
    matches the target's, and the part of the target's boundary that matches the union's. Each has
    one pixel count per frame.
    """

    def __init__(self, target: _Target) -> None:
        self.target = target
        self.arrays = np.zeros((5, *target.shape), dtype=np.uint16)
        self.counts = np.zeros((5, target.num_frames), dtype=np.int64)

    def add(self, parts: Sequence[FrameBits]) -> None:
        """Add masks to the union; arrays change only in the box around masks with new pixels."""
        target, union = self.target, self.arrays[UNION]
        boxes = []
        for bits in parts:
            box = target.box_of(bits)
            if (bits.inside & ~union[_at(box)]).any():
                self._set(UNION, box, union[_at(box)] | bits.inside)
                boxes.append(box)
        if not boxes:
            return
        # Repeat the frame's last pixels in the margin, so that no boundary appears between them.
        union[-target.margin_px] = union[-target.margin_px - 1]
        union[:, -target.margin_px] = union[:, -target.margin_px - 1]
        box = np.stack([np.min(boxes, axis=0)[0], np.max(boxes, axis=0)[1]])
        self._set(SHARED, box, union[_at(box)] & target.masks[_at(box)])
        beyond = union[
            _at(box + np.array([[0], [1]]))
        ]  # a boundary depends on the pixels right and below
        boundary = boundary_map(beyond)[:-1, :-1]
        self._set(BOUNDARY, box, boundary)
        self._set(PREDS_MATCHING, box, boundary & target.surroundings[_at(box)])
        near = box + target.wider  # the part of the target's boundary that may match
        near = np.stack([np.maximum(near, target.box)[0], np.minimum(near, target.box)[1]])
        if (near[0] < near[1]).all():
            around = self.arrays[BOUNDARY][_at(near + target.wider)]
            inner = slice(2 * target.radius_px, -2 * target.radius_px)
            matching = dilate(around, target.radius_px)[inner, inner]
            self._set(TARGET_MATCHING, near, matching & target.boundary[_at(near)])

    def scores(self) -> NDArray[np.float64]:
        """Return J and F, (2, frames)."""
        area, shared, num_boundary, preds_matching, target_matching = self.counts
        either = area + self.target.area - shared
        j = np.where(either == 0, 1.0, shared / np.maximum(either, 1))
        num_target = self.target.num_boundary
        return np.stack([j, f_of_counts(preds_matching, num_boundary, target_matching, num_target)])

    def _set(self, number: int, box: Box, now: NDArray[np.uint16]) -> None:
        """Replace a part of one array, and update its counts by the changed pixels."""
        before = self.arrays[number][_at(box)]
        is_changed = now != before
        for pixels, sign in ((now, 1), (before, -1)):
            self.counts[number] += sign * count_by_frame(pixels[is_changed], self.target.num_frames)
        before[:] = now


def _at(box: Box) -> tuple[slice, slice]:
    columns, rows = box.T.tolist()
    return slice(*columns), slice(*rows)
