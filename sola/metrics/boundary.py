"""Boundaries of masks and how many of their pixels match: the parts of the boundary measure F.

DAVIS's definition (Perazzi et al. 2016, section 5; ``davis2017-evaluation``, ``db_eval_boundary``),
exactly, but computed of 16 frames at a time and in the box that holds their masks alone: a boundary
pixel lies at most one pixel outside its mask, and one that matches at most the tolerance outside
that. The definition is the same for rows and columns exchanged, as ``FrameBits`` has them.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sola.masks import FrameBits, count_by_frame

TOLERANCE = 0.008
"""Share of the frame's diagonal within which two boundary pixels match."""


def tolerance_radius_px(size: tuple[int, int]) -> int:
    """Radius of the disk within which boundary pixels match, for a frame of (H, W) ``size``."""
    return math.ceil(TOLERANCE * float(np.linalg.norm(size)))


@dataclass(frozen=True)
class Boundary:
    """The boundaries of up to 16 masks, and the surroundings in which others match them."""

    masks: FrameBits
    radius_px: int
    """Within which boundary pixels match."""

    @cached_property
    def num_pixels(self) -> NDArray[np.int64]:
        """Pixels of each frame's boundary; may be 0 for a mask that fills the frame."""
        return count_by_frame(self.places.bits, self.masks.num_frames)

    def matches(self, other: "Boundary") -> NDArray[np.int64]:
        """Pixels of each frame's boundary within the tolerance of the other's: (frames,)."""
        return count_by_frame(self.near(other), self.masks.num_frames)

    def near(self, other: "Boundary") -> NDArray[np.uint16]:
        """On which frames each of the places is within the tolerance of the other's boundary: bits.

        What is near either of two others is the bitwise "or" of what is near each.
        """
        return self.places.near(other)

    @cached_property
    def places(self) -> "Places":
        """All frames' boundary pixels."""
        return find_places(self.pixels, self.masks.left, self.masks.top)

    @cached_property
    def surroundings(self) -> NDArray[np.uint16]:
        """(w, h): pixels within the tolerance.

        Begins radius_px outside the masks' box on every side, be it outside the frame.
        """
        return dilate(self.pixels, self.radius_px)

    @cached_property
    def pixels(self) -> NDArray[np.uint16]:
        """(w, h): the boundaries within the masks' box."""
        return boundary_map(self.masks.inside)


@dataclass(frozen=True)
class Places:
    """Boundary pixels of up to 16 frames, each place of the frame once."""

    columns: NDArray[np.int64]
    rows: NDArray[np.int64]
    bits: NDArray[np.uint16]
    """On which frames a place is on the boundary."""

    def near(self, other: Boundary) -> NDArray[np.uint16]:
        """On which of these frames each place is within the tolerance of a boundary: bits."""
        columns = self.columns - (other.masks.left - other.radius_px)
        rows = self.rows - (other.masks.top - other.radius_px)
        width, height = (side + 2 * other.radius_px for side in other.masks.inside.shape)
        is_within = (columns >= 0) & (columns < width) & (rows >= 0) & (rows < height)
        near = np.zeros_like(self.bits)
        if is_within.any():
            around = other.surroundings[columns[is_within], rows[is_within]]
            near[is_within] = self.bits[is_within] & around
        return near


def find_places(pixels: NDArray[np.uint16], left: int, top: int) -> Places:
    """Pixels (w, h) of a boundary in a box that begins at a column and row of the frame."""
    flat = pixels.ravel()
    found = np.flatnonzero(flat.astype(bool))
    columns, rows = np.divmod(found, max(pixels.shape[1], 1))
    return Places(columns + left, rows + top, flat[found])


def boundary_map(masks: NDArray[Any]) -> NDArray[Any]:
    """Pixels that differ from their right, lower or lower-right neighbour, in every bit.

    Neighbours outside the array do not count, and a pixel of the last row or column is compared
    with the one neighbour that it has along it; the last pixel of all is never on the boundary.
    Where a box ends inside the frame its last row and column are empty, and so are those beyond:
    the rule for the frame's last row and column gives the same there.

    Args:
        masks: (H, W) or (W, H), integers or bool.

    Returns:
        As ``masks``.
    """
    edges = np.zeros_like(masks)
    edges[:, :-1] = masks[:, :-1] ^ masks[:, 1:]
    edges[:-1] |= masks[:-1] ^ masks[1:]
    edges[:-1, :-1] |= masks[:-1, :-1] ^ masks[1:, 1:]
    return edges


def f_measures(preds: Sequence[Boundary], target: Sequence[Boundary]) -> NDArray[np.float64]:
    """Boundary measure F of predicted boundaries, frame by frame.

    Args:
        preds: boundaries of the predicted masks, up to 16 frames each.
        target: boundaries of the true masks of the same frames.

    Returns:
        (T,) 2PR / (P + R) in [0, 1] of precision P, the share of the predicted boundary that
        matches, and recall R, the share of the true one; 1 when both are empty, 0 when one is, or
        nothing matches.
    """
    parts = [_f_of_frames(*pair) for pair in zip(preds, target, strict=True)]
    return np.concatenate(parts) if parts else np.zeros(0)


def _f_of_frames(preds: Boundary, target: Boundary) -> NDArray[np.float64]:
    return f_of_counts(
        preds.matches(target), preds.num_pixels, target.matches(preds), target.num_pixels
    )


def f_of_counts(
    matched_preds: NDArray[np.int64],
    num_preds: NDArray[np.int64],
    matched_target: NDArray[np.int64],
    num_target: NDArray[np.int64],
) -> NDArray[np.float64]:
    """F of each frame from pixels of the boundaries, all and those that match: (T,) each."""
    precision = matched_preds / np.maximum(num_preds, 1)
    recall = matched_target / np.maximum(num_target, 1)
    total = precision + recall
    measure = 2 * precision * recall / np.where(total > 0, total, 1.0)
    return np.where((num_preds == 0) & (num_target == 0), 1.0, measure)


def dilate(pixels: NDArray[np.uint16], radius_px: int) -> NDArray[np.uint16]:
    """All pixels of the disk around each one, in an array that is radius_px larger all around."""
    width, height = pixels.shape[0], pixels.shape[1] + 2 * radius_px
    # A column's pixels and those up to reach_px above and below; flat, as the margin keeps columns
    # apart.
    column = np.zeros((width, height), dtype=np.uint16)
    column[:, radius_px : height - radius_px] = pixels
    column, reach_px = column.ravel(), 0
    out = np.zeros((width + 2 * radius_px) * height, dtype=np.uint16)
    for offset in range(radius_px, -1, -1):
        needed_px = math.isqrt(radius_px**2 - offset**2)
        while reach_px < needed_px:
            step = min(needed_px - reach_px, 2 * reach_px + 1)
            wider = column.copy()
            wider[step:] |= column[:-step]
            wider[:-step] |= column[step:]
            column, reach_px = wider, reach_px + step
        for start in {radius_px - offset, radius_px + offset}:
            out[start * height : (start + width) * height] |= column
    return out.reshape(-1, height)
