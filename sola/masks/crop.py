"""Masks cut to their bounding boxes, as most of a frame is empty in most masks."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sola.masks.run_length import common_size
from sola.masks.runs import decode_columns
from sola.types import Masklet

CHUNK_FRAMES = 16


@dataclass(frozen=True)
class MaskCrop:
    """One mask within a box; outside of it the mask is empty."""

    top: int
    """First row of the box in the frame, px."""
    left: int
    """First column of the box in the frame, px."""
    inside: NDArray[np.bool_]
    """(h, w) bool, the box's pixels; (0, 0) for an empty mask."""

    @property
    def bottom(self) -> int:
        """First row below the box, px."""
        return self.top + self.inside.shape[0]

    @property
    def right(self) -> int:
        """First column to the right of the box, px."""
        return self.left + self.inside.shape[1]

    @property
    def is_empty(self) -> bool:
        """Whether the box has no pixels."""
        return self.inside.size == 0


EMPTY_CROP = MaskCrop(0, 0, np.zeros((0, 0), dtype=bool))


def crop(mask: NDArray[Any]) -> MaskCrop:
    """A mask cut to the smallest box that holds it.

    Args:
        mask: (H, W) bool.

    Returns:
        The crop (a view of ``mask``); ``EMPTY_CROP`` where nothing is inside.
    """
    rows = np.flatnonzero(mask.any(axis=1))
    if rows.size == 0:
        return EMPTY_CROP
    top, bottom = int(rows[0]), int(rows[-1]) + 1
    columns = np.flatnonzero(mask[top:bottom].any(axis=0))
    left, right = int(columns[0]), int(columns[-1]) + 1
    return MaskCrop(top, left, np.asarray(mask[top:bottom, left:right], dtype=bool))


def decode_crops(masklet: Masklet) -> list[MaskCrop]:
    """The crops of a masklet, each owning its pixels: at most 16 whole frames exist at a time.

    Args:
        masklet: T run-length masks of one size.

    Returns:
        T crops.

    Raises:
        ValueError: if the masks have different sizes or a code is damaged.
    """
    size = common_size([masklet])
    crops = []
    for start in range(0, len(masklet), CHUNK_FRAMES):
        assert size is not None
        chunk = decode_columns(masklet[start : start + CHUNK_FRAMES], size)  # (frames, W, H)
        for column_major in chunk:
            found = crop(column_major.T)
            crops.append(MaskCrop(found.top, found.left, found.inside.copy()))
    return crops


def union(crops: Sequence[MaskCrop]) -> MaskCrop:
    """Union of masks of one frame; ``EMPTY_CROP`` for none."""
    filled = [part for part in crops if not part.is_empty]
    if len(filled) <= 1:
        return filled[0] if filled else EMPTY_CROP
    top, left = min(part.top for part in filled), min(part.left for part in filled)
    bottom, right = max(part.bottom for part in filled), max(part.right for part in filled)
    inside = np.zeros((bottom - top, right - left), dtype=bool)
    for part in filled:
        inside[part.top - top : part.bottom - top, part.left - left : part.right - left] |= (
            part.inside
        )
    return MaskCrop(top, left, inside)


def shared_pixels(a: MaskCrop, b: MaskCrop) -> int:
    """Pixels inside both masks of one frame."""
    top, bottom = max(a.top, b.top), min(a.bottom, b.bottom)
    left, right = max(a.left, b.left), min(a.right, b.right)
    if top >= bottom or left >= right:
        return 0
    a_part = a.inside[top - a.top : bottom - a.top, left - a.left : right - a.left]
    b_part = b.inside[top - b.top : bottom - b.top, left - b.left : right - b.left]
    return int(np.count_nonzero(a_part & b_part))
