"""Boundaries of masks and how many of their pixels match: the parts of the boundary measure F.

DAVIS's definition (Perazzi et al. 2016, section 5; ``davis2017-evaluation``, ``db_eval_boundary``),
exactly, but computed on crops: a boundary pixel lies at most one pixel outside its mask's bounding
box, and one that matches at most the tolerance outside that.
"""

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from sola.masks import MaskCrop

TOLERANCE = 0.008
"""Share of the frame's diagonal within which two boundary pixels match."""


@dataclass(frozen=True)
class Boundary:
    """The boundary of one mask and the surroundings in which other boundaries match it."""

    top: int
    """First row of the box in the frame, px."""
    left: int
    """First column of the box in the frame, px."""
    pixels: NDArray[np.uint8]
    """(h, w), 1 on the boundary, 0 elsewhere; (0, 0) for an empty mask."""
    surroundings: NDArray[np.uint8]
    """(h, w), 1 within the tolerance of the boundary."""
    num_pixels: int
    """Pixels of the boundary; may be 0 for a mask that fills the frame."""


NO_BOUNDARY = Boundary(0, 0, np.zeros((0, 0), np.uint8), np.zeros((0, 0), np.uint8), 0)


def tolerance_radius_px(size: tuple[int, int]) -> int:
    """Radius of the disk within which boundary pixels match, for a frame of (H, W) ``size``."""
    return math.ceil(TOLERANCE * float(np.linalg.norm(size)))


def boundary_map(mask: NDArray[Any]) -> NDArray[np.bool_]:
    """Pixels that differ from their right, lower or lower-right neighbour.

    Neighbours outside the frame do not count, and a pixel of the last row or column is compared
    with the one neighbour that it has along it; the last pixel of all is never on the boundary.

    Args:
        mask: (H, W) bool.

    Returns:
        (H, W) bool.
    """
    edges = np.zeros(mask.shape, dtype=bool)
    right = mask[:, :-1] ^ mask[:, 1:]
    below = mask[:-1] ^ mask[1:]
    edges[:, :-1] = right
    edges[:-1] |= below
    edges[:-1, :-1] |= mask[:-1, :-1] ^ mask[1:, 1:]
    return edges


def trace(crop: MaskCrop, size: tuple[int, int]) -> Boundary:
    """The boundary of a mask.

    Args:
        crop: the mask.
        size: (H, W) of its frame.

    Returns:
        The boundary in a box around the crop, cut off at the frame.
    """
    if crop.is_empty:
        return NO_BOUNDARY
    radius_px = tolerance_radius_px(size)
    margin_px = radius_px + 1
    top, left = max(crop.top - margin_px, 0), max(crop.left - margin_px, 0)
    bottom, right = min(crop.bottom + margin_px, size[0]), min(crop.right + margin_px, size[1])
    mask = np.zeros((bottom - top, right - left), dtype=bool)
    mask[crop.top - top : crop.bottom - top, crop.left - left : crop.right - left] = crop.inside
    # Where the box ends inside the frame, its last row and column are empty, and so are those
    # beyond: the rule for the frame's last row and column gives the same there.
    pixels = boundary_map(mask).view(np.uint8)
    surroundings = cv2.dilate(pixels, _disk(radius_px)).astype(np.uint8, copy=False)
    return Boundary(top, left, pixels, surroundings, int(np.count_nonzero(pixels)))


def f_measure(preds: Boundary, target: Boundary) -> float:
    """Boundary measure F of a predicted boundary on one frame.

    Args:
        preds: boundary of the predicted mask.
        target: boundary of the true mask, of a frame of the same size.

    Returns:
        2PR / (P + R) in [0, 1] of precision P, the share of the predicted boundary that matches,
        and recall R, the share of the true one; 1 when both are empty, 0 when one is, or nothing
        matches.
    """
    if preds.num_pixels == 0 or target.num_pixels == 0:
        return float(preds.num_pixels == target.num_pixels)
    precision = _matching_pixels(preds, target) / preds.num_pixels
    recall = _matching_pixels(target, preds) / target.num_pixels
    return 2 * precision * recall / (precision + recall) if precision + recall > 0 else 0.0


def _matching_pixels(boundary: Boundary, other: Boundary) -> int:
    """Pixels of ``boundary`` within the tolerance of ``other``."""
    top, left = max(boundary.top, other.top), max(boundary.left, other.left)
    height = min(boundary.top + boundary.pixels.shape[0], other.top + other.pixels.shape[0]) - top
    width = min(boundary.left + boundary.pixels.shape[1], other.left + other.pixels.shape[1]) - left
    if height <= 0 or width <= 0:
        return 0
    y, x = top - boundary.top, left - boundary.left
    other_y, other_x = top - other.top, left - other.left
    own = boundary.pixels[y : y + height, x : x + width]
    near = other.surroundings[other_y : other_y + height, other_x : other_x + width]
    return int(np.count_nonzero(own & near))


@lru_cache(maxsize=32)
def _disk(radius_px: int) -> NDArray[np.uint8]:
    offsets = np.arange(-radius_px, radius_px + 1)
    return (offsets[:, None] ** 2 + offsets[None] ** 2 <= radius_px**2).astype(np.uint8)
