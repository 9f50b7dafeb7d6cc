"""J and F of unions that grow step by step, computed anew only where a union changes.

What is kept of a union is counts (of its pixels, of its boundary's pixels, and of those that match)
and not scores, so that a count changes by what a new mask changes around itself, and the scores
from the counts are those of the whole union, exactly.
"""

from collections.abc import Hashable, Mapping, Sequence
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from sola.masks import MAX_FRAMES, FrameBits, Runs, count_by_frame, pack_frames
from sola.metrics.boundary import (
    Boundary,
    boundary_map,
    dilate,
    f_of_counts,
    find_places,
    tolerance_radius_px,
)

Target = TypeVar("Target", bound=Hashable)
Pixels = NDArray[np.uint16]


def score_growing(
    masklets: Mapping[int, Runs],
    targets: Mapping[Target, Runs],
    unions: Sequence[tuple[Sequence[Sequence[int]], Target]],
) -> list[NDArray[np.float64]]:
    """J and F, frame by frame, of unions that begin with nothing and grow by some masklets a step.

    Args:
        masklets: by a number, all of one length T and size.
        targets: what unions are compared with, by any name, as long and of the same size.
        unions: the masklets that join each at every step, and the name of its target.

    Returns:
        One (steps + 1, 2, T) array a union: J and F with nothing, then after every step.
    """
    counts: list[list[NDArray[np.int64]]] = [[] for _ in unions]
    by_target: dict[Target, list[int]] = {}
    for number, (_, name) in enumerate(unions):
        by_target.setdefault(name, []).append(number)
    num_frames = next(iter(targets.values())).num_frames if targets else 0
    # A few frames at a time, and one target: few pixels are held, however long the video.
    for first_frame in range(0, num_frames, MAX_FRAMES):
        packed = {idx: pack_frames(runs, first_frame) for idx, runs in masklets.items()}
        for name, numbers in by_target.items():
            target = _Target(pack_frames(targets[name], first_frame), targets[name].size)
            for number in numbers:
                parts = [[packed[idx] for idx in step] for step in unions[number][0]]
                counts[number].append(_Growing(target).counts(parts))
    return [
        _scores(np.concatenate(parts, axis=-1)) if parts else np.ones((len(steps) + 1, 2, 0))
        for (steps, _), parts in zip(unions, counts, strict=True)
    ]


class GrowingUnion:
    """The union of up to 16 frames' masks, and what its boundary would be if others were added.

    A mask changes the boundary within its own box alone, so only this is computed again.

    Args:
        masks: the union so far.
        target: the boundary that the union's is to match.
        size: (H, W) of the frame.
    """

    def __init__(self, masks: FrameBits, target: Boundary, size: tuple[int, int]) -> None:
        self._target, self._num_frames = target, masks.num_frames
        self._inside = np.zeros(size[::-1], dtype=np.uint16)
        width, height = masks.inside.shape
        self._inside[masks.left :, masks.top :][:width, :height] = masks.inside
        self._places = Boundary(masks, target.radius_px).places
        self._near = self._places.near(target)
        self._num_pixels = count_by_frame(self._places.bits, self._num_frames)
        self._num_matched = count_by_frame(self._near, self._num_frames)

    def with_masks(self, added: FrameBits) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Pixels of the boundary that match the target's, and all of them: (frames,) each."""
        (width, height), old = added.inside.shape, self._places
        is_lost = (old.columns >= added.left) & (old.columns < added.left + width)
        is_lost &= (old.rows >= added.top) & (old.rows < added.top + height)
        # A column and a row more where the frame goes on: the box's last are compared with them.
        masks = self._inside[added.left :, added.top :][: width + 1, : height + 1].copy()
        masks[:width, :height] |= added.inside
        new = find_places(boundary_map(masks)[:width, :height], added.left, added.top)
        matched, lost_matched, pixels, lost_pixels = (
            count_by_frame(bits, self._num_frames)
            for bits in (new.near(self._target), self._near[is_lost], new.bits, old.bits[is_lost])
        )
        return self._num_matched + matched - lost_matched, self._num_pixels + pixels - lost_pixels


class _Box(NamedTuple):
    """Columns and rows of a part of the frame."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def slices(self) -> tuple[slice, slice]:
        return slice(self.left, self.right), slice(self.top, self.bottom)

    @property
    def is_empty(self) -> bool:
        return self.left >= self.right or self.top >= self.bottom

    @property
    def area(self) -> int:
        return (self.right - self.left) * (self.bottom - self.top)

    def grow(self, by_px: int, shape: tuple[int, int]) -> "_Box":
        """Wider on all sides, within an array of (W, H) ``shape``."""
        wide = _Box(self.left - by_px, self.top - by_px, self.right + by_px, self.bottom + by_px)
        return wide.overlap(_Box(0, 0, *shape))

    def overlap(self, other: "_Box") -> "_Box":
        left, top = max(self.left, other.left), max(self.top, other.top)
        return _Box(left, top, min(self.right, other.right), min(self.bottom, other.bottom))


NO_BOX = _Box(0, 0, 0, 0)


def _join(boxes: Sequence[_Box]) -> Sequence[_Box]:
    """One box around all where that is no larger than they are together."""
    if len(boxes) < 2:
        return boxes
    left, top = min(box.left for box in boxes), min(box.top for box in boxes)
    around = _Box(left, top, max(box.right for box in boxes), max(box.bottom for box in boxes))
    return [around] if around.area <= sum(box.area for box in boxes) else boxes


def _box_of(bits: FrameBits) -> _Box:
    width, height = bits.inside.shape
    return _Box(bits.left, bits.top, bits.left + width, bits.top + height)


class _Target:
    """Up to 16 masks that unions are compared with; every array is (W, H), the whole frame."""

    def __init__(self, bits: FrameBits, size: tuple[int, int]) -> None:
        self.num_frames, self.shape = bits.num_frames, (size[1], size[0])
        self.radius_px = tolerance_radius_px(size)
        self.box = _box_of(bits)
        boundary = Boundary(bits, self.radius_px)
        self.masks, self.boundary, self.surroundings = (
            np.zeros(self.shape, dtype=np.uint16) for _ in range(3)
        )
        self.masks[self.box.slices] = bits.inside
        self.boundary[self.box.slices] = boundary.pixels
        if not self.box.is_empty:
            wide = self.box.grow(self.radius_px, self.shape)
            left, top = self.box.left - self.radius_px, self.box.top - self.radius_px
            inside = _Box(wide.left - left, wide.top - top, wide.right - left, wide.bottom - top)
            self.surroundings[wide.slices] = boundary.surroundings[inside.slices]
        self.area = count_by_frame(bits.inside, self.num_frames)
        self.num_boundary = boundary.num_pixels


class _Growing:
    """A union of up to 16 frames and its counts; every array is (W, H), the whole frame."""

    def __init__(self, target: _Target) -> None:
        self.target = target
        self.masks, self.boundary, self.matching = (
            np.zeros(target.shape, dtype=np.uint16) for _ in range(3)
        )
        zeros = np.zeros(target.num_frames, dtype=np.int64)
        self.area, self.shared, self.num_boundary = zeros, zeros, zeros
        self.preds_matching, self.target_matching = zeros, zeros

    def counts(self, steps: Sequence[Sequence[FrameBits]]) -> NDArray[np.int64]:
        """(steps + 1, 7, frames), see ``_scores``: with nothing, then after each step."""
        rows = [self._row()]
        for parts in steps:
            boxes = [box for box in map(self._add, parts) if not box.is_empty]
            for box in _join(boxes):
                self._update_boundary(box)
                self._update_matching(box.grow(self.target.radius_px, self.target.shape))
            rows.append(self._row())
        return np.stack(rows)

    def _row(self) -> NDArray[np.int64]:
        own = (self.area, self.shared, self.num_boundary, self.preds_matching, self.target_matching)
        return np.stack([*own, self.target.area, self.target.num_boundary])

    def _add(self, bits: FrameBits) -> _Box:
        """Adds masks; the box in which the union has changed."""
        box = _box_of(bits)
        masks = self.masks[box.slices]
        new = bits.inside & ~masks
        if not new.any():
            return NO_BOX
        self.area = self.area + self._count(new)
        self.shared = self.shared + self._count(new & self.target.masks[box.slices])
        masks |= new
        return box

    def _update_boundary(self, box: _Box) -> None:
        """A pixel's boundary depends on its neighbours to the right and below."""
        width, height = box.right - box.left, box.bottom - box.top
        around = self.masks[box.left : box.right + 1, box.top : box.bottom + 1]
        now, before = boundary_map(around)[:width, :height], self.boundary[box.slices]
        is_changed = now != before
        gone, come = before[is_changed], now[is_changed]
        near = self.target.surroundings[box.slices][is_changed]
        self.num_boundary = self.num_boundary + self._count(come) - self._count(gone)
        difference = self._count(come & near) - self._count(gone & near)
        self.preds_matching = self.preds_matching + difference
        self.boundary[box.slices] = now

    def _update_matching(self, box: _Box) -> None:
        """Which of the target's boundary pixels match depends on what is within the tolerance."""
        box = box.overlap(self.target.box)
        if box.is_empty:
            return
        target, radius_px = self.target.boundary[box.slices], self.target.radius_px
        if not target.any():
            return
        around = box.grow(radius_px, self.target.shape)
        left, top = box.left - around.left + radius_px, box.top - around.top + radius_px
        inside = _Box(left, top, left + box.right - box.left, top + box.bottom - box.top)
        now = dilate(self.boundary[around.slices], radius_px)[inside.slices] & target
        before = self.matching[box.slices]
        is_changed = now != before
        difference = self._count(now[is_changed]) - self._count(before[is_changed])
        self.target_matching = self.target_matching + difference
        self.matching[box.slices] = now

    def _count(self, pixels: Pixels) -> NDArray[np.int64]:
        return count_by_frame(pixels, self.target.num_frames)


def _scores(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """J and F from (steps, 7, T) counts: (steps, 2, T)."""
    area, shared, num_preds, preds_matching, target_matching, target_area, num_target = (
        counts.transpose(1, 0, 2)
    )
    union = area + target_area - shared
    j = np.where(union == 0, 1.0, shared / np.maximum(union, 1))
    boundary_f = f_of_counts(preds_matching, num_preds, target_matching, num_target)
    return np.stack([j, boundary_f], axis=1)
