"""Pack several frames of a masklet into one integer array: bit t is the pixel on frame t.

Bitwise operations on the array, such as a boundary or a dilation, process all frames at once.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sola.masks.runs import Runs

MAX_FRAMES = 16  # frames in one array, the bits of a uint16


@dataclass(frozen=True)
class FrameBits:
    """Up to 16 masks of one size, within a box that contains all their pixels.

    Attributes:
        left: first column of the box, px.
        top: first row of the box, px.
        inside: (w, h), columns first as in run lengths; (0, 0) if all masks are empty. The box has
            a margin of one pixel on every side that is not an edge of the frame.
        num_frames: number of masks.
    """

    left: int
    top: int
    inside: NDArray[np.uint16]
    num_frames: int


def pack_runs(runs: Runs) -> list[FrameBits]:
    """Pack the frames of a masklet, 16 at a time."""
    return [pack_frames(runs, first) for first in range(0, runs.num_frames, MAX_FRAMES)]


def pack_frames(runs: Runs, first_frame: int) -> FrameBits:
    """Pack up to 16 frames of a masklet, starting at ``first_frame``."""
    num_pixels, num_frames = runs.size[0] * runs.size[1], runs.num_frames - first_frame
    num_frames = min(num_frames, MAX_FRAMES)
    first_pixel = first_frame * num_pixels
    limits = np.searchsorted(runs.starts, [first_pixel, first_pixel + num_frames * num_pixels])
    own = slice(*limits)
    return _pack_runs(
        runs.starts[own] - first_pixel, runs.ends[own] - first_pixel, num_frames, runs.size
    )


def pack_masks(masks: NDArray[np.bool_]) -> list[FrameBits]:
    """Pack (T, H, W) bool masks, 16 frames at a time."""
    starts = range(0, len(masks), MAX_FRAMES)
    return [_pack_pixels(masks[start : start + MAX_FRAMES]) for start in starts]


def count_by_frame(pixels: NDArray[np.uint16], num_frames: int) -> NDArray[np.int64]:
    """Count the pixels of each frame: (num_frames,)."""
    return np.array([np.count_nonzero(pixels & bit) for bit in _bits(num_frames)], dtype=np.int64)


def _pack_runs(
    starts: NDArray[np.int64], ends: NDArray[np.int64], num_frames: int, size: tuple[int, int]
) -> FrameBits:
    """Pack runs whose pixels are counted from the first packed frame."""
    height, width = size
    if starts.size == 0:
        return _nothing(num_frames)
    first_column, first_row = np.divmod(starts, height)
    last_column, last_row = np.divmod(ends - 1, height)
    is_tall = bool((first_column != last_column).any())  # a run continues in the next column
    frame_idx, first_column = np.divmod(first_column, width)
    last_column %= width
    left, right = _with_margin(int(first_column.min()), int(last_column.max()), width)
    top, bottom = (
        (0, height) if is_tall else _with_margin(int(first_row.min()), int(last_row.max()), height)
    )
    # Bits change where a run starts and just after its end, which may be the next column's top.
    box_height = bottom - top
    places = np.concatenate(
        [
            (first_column - left) * box_height + first_row - top,
            (last_column - left) * box_height + last_row - top + 1,
        ]
    )
    # numpy accumulates 32 bits more than ten times as fast as 16
    changes = np.zeros((right - left) * box_height + 1, dtype=np.uint32)
    np.bitwise_xor.at(changes, places, np.tile(np.uint32(1) << frame_idx.astype(np.uint32), 2))
    inside = np.bitwise_xor.accumulate(changes)[:-1].astype(np.uint16)
    return FrameBits(left, top, inside.reshape(right - left, box_height), num_frames)


def _pack_pixels(masks: NDArray[np.bool_]) -> FrameBits:
    is_used = np.logical_or.reduce(masks, axis=0)
    rows, columns = np.flatnonzero(is_used.any(axis=1)), np.flatnonzero(is_used.any(axis=0))
    if rows.size == 0:
        return _nothing(len(masks))
    top, bottom = _with_margin(int(rows[0]), int(rows[-1]), masks.shape[1])
    left, right = _with_margin(int(columns[0]), int(columns[-1]), masks.shape[2])
    inside = np.zeros((bottom - top, right - left), dtype=np.uint16)
    for mask, bit in zip(masks, _bits(len(masks)), strict=True):
        inside |= mask[top:bottom, left:right] * bit
    return FrameBits(left, top, np.ascontiguousarray(inside.T), len(masks))


def _with_margin(first: int, last: int, length: int) -> tuple[int, int]:
    """Return the range from one pixel before the first to one after the last, within the frame."""
    return max(first - 1, 0), min(last + 2, length)


def _bits(num_frames: int) -> NDArray[np.uint16]:
    return np.left_shift(np.uint16(1), np.arange(num_frames, dtype=np.uint16))


def _nothing(num_frames: int) -> FrameBits:
    return FrameBits(0, 0, np.zeros((0, 0), dtype=np.uint16), num_frames)
