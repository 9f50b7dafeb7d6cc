"""Boundary measure F: boundaries of masks, and counts of their matching pixels.

This is exactly the definition of DAVIS (Perazzi et al. 2016, section 5; ``davis2017-evaluation``,
``db_eval_boundary``), for 16 frames at a time and only within the box of their masks: a boundary
pixel is at most one pixel outside its mask, and a match at most the tolerance further. The
definition is symmetric in rows and columns, so ``FrameBits`` may swap them.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sola.masks.frame_bits import FrameBits, count_by_frame

TOLERANCE = 0.008  # share of the frame's diagonal within which two boundary pixels match


def tolerance_radius_px(size: tuple[int, int]) -> int:
    """Return the radius of the matching disk for a frame of (H, W) ``size``."""
    return math.ceil(TOLERANCE * float(np.linalg.norm(size)))


@dataclass(frozen=True)
class Boundary:
    """Boundaries of up to 16 masks.

    Attributes:
        masks: the masks.
        radius_px: distance within which boundary pixels match.
    """

    masks: FrameBits
    radius_px: int

    @cached_property
    def pixels(self) -> NDArray[np.uint16]:
        """Boundary pixels in the box of the masks, (w, h)."""
        return boundary_map(self.masks.inside)

    @cached_property
    def surroundings(self) -> NDArray[np.uint16]:
        """Pixels within the tolerance of the boundary, in an array wider by radius_px per side."""
        return dilate(self.pixels, self.radius_px)

    @cached_property
    def num_pixels(self) -> NDArray[np.int64]:
        """Number of boundary pixels of each frame, (frames,); 0 for a mask that fills the frame."""
        return self._count(self.pixels)

    def matches(self, other: "Boundary") -> NDArray[np.int64]:
        """Count the boundary pixels of each frame within the tolerance of the other: (frames,)."""
        left = other.masks.left - other.radius_px - self.masks.left
        top = other.masks.top - other.radius_px - self.masks.top
        own = self.pixels[max(left, 0) :, max(top, 0) :]
        around = other.surroundings[max(-left, 0) :, max(-top, 0) :]
        width, height = np.minimum(own.shape, around.shape)
        return self._count(own[:width, :height] & around[:width, :height])

    def _count(self, pixels: NDArray[np.uint16]) -> NDArray[np.int64]:
        return count_by_frame(pixels[pixels.astype(bool)], self.masks.num_frames)


def boundary_map(masks: NDArray[Any]) -> NDArray[Any]:
    """Return the pixels that differ from their right, lower or lower-right neighbour, in every bit.

    A pixel of the last row or column is only compared along it, and the pixel in both is never on
    the boundary. A box that ends inside the frame has an empty last row and column, for which this
    rule gives the same result.

    Args:
        masks: (H, W) or (W, H), integers or bool.

    Returns:
        Array of the same shape and type.
    """
    edges = np.zeros_like(masks)
    edges[:, :-1] = masks[:, :-1] ^ masks[:, 1:]
    edges[:-1] |= masks[:-1] ^ masks[1:]
    edges[:-1, :-1] |= masks[:-1, :-1] ^ masks[1:, 1:]
    return edges


def f_measures(preds: Sequence[Boundary], target: Sequence[Boundary]) -> NDArray[np.float64]:
    """Return the boundary measure F of predicted boundaries, frame by frame.

    Args:
        preds: boundaries of the predicted masks, up to 16 frames each.
        target: boundaries of the ground-truth masks of the same frames.

    Returns:
        (T,) 2PR / (P + R) in [0, 1], where the precision P is the share of the predicted boundary
        that matches and the recall R is that of the true boundary; 1 if both are empty, 0 if only
        one is empty or nothing matches.
    """
    parts = [
        f_of_counts(own.matches(true), own.num_pixels, true.matches(own), true.num_pixels)
        for own, true in zip(preds, target, strict=True)
    ]
    return np.concatenate(parts) if parts else np.zeros(0)


def f_of_counts(
    matched_preds: NDArray[np.int64],
    num_preds: NDArray[np.int64],
    matched_target: NDArray[np.int64],
    num_target: NDArray[np.int64],
) -> NDArray[np.float64]:
    """Return F of each frame from the counts of matching and of all boundary pixels, (T,) each."""
    precision = matched_preds / np.maximum(num_preds, 1)
    recall = matched_target / np.maximum(num_target, 1)
    total = precision + recall
    measure = 2 * precision * recall / np.where(total > 0, total, 1.0)
    return np.where((num_preds == 0) & (num_target == 0), 1.0, measure)


def dilate(pixels: NDArray[np.uint16], radius_px: int) -> NDArray[np.uint16]:
    """Dilate pixels by a disk, into an array wider by radius_px on every side."""
    width, height = pixels.shape[0], pixels.shape[1] + 2 * radius_px
    # A column's pixels and those up to reach_px above and below; the margin separates columns.
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
