"""Decodes COCO's compressed run lengths with numpy.

The same masks as ``pycocotools.mask.decode``, 7 to 10 times as fast from 720p on, and without its
trap: that leaves whatever was in memory where a truncated code does not reach.

A code is the lengths of runs, outside and inside in turn, down the columns. From the fourth on a
length is stored as the difference to the one two before. A number is written in characters of 5
bits, the lowest first, plus 48; bit 5 says that more follow, bit 4 of the last one is the sign.
"""

import numpy as np
from numpy.typing import NDArray

from sola.types import Masklet


def decode_columns(masklet: Masklet, size: tuple[int, int]) -> NDArray[np.bool_]:
    """The masks of a masklet, transposed, as the runs have them.

    Args:
        masklet: T >= 1 run-length masks.
        size: (H, W) of them all.

    Returns:
        (T, W, H) bool.

    Raises:
        ValueError: if a code is damaged, or is not that of a mask of this size.
    """
    lengths, first_run, frame_of_run = _checked_runs(masklet, size)
    height, width = size
    is_inside = (_number_within(first_run, frame_of_run) % 2).astype(bool)
    return np.repeat(is_inside, lengths).reshape(len(masklet), width, height)


def check_codes(masklet: Masklet, size: tuple[int, int]) -> None:
    """Makes sure that masks can be decoded, without decoding them.

    Args:
        masklet: T run-length masks.
        size: (H, W) of them all.

    Raises:
        ValueError: as ``decode_columns`` does.
    """
    if masklet:
        _checked_runs(masklet, size)


def _checked_runs(
    masklet: Masklet, size: tuple[int, int]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """As ``_run_lengths``, of codes that are whole."""
    height, width = size
    lengths, first_run, frame_of_run = _run_lengths(masklet)
    num_pixels = np.add.reduceat(lengths, first_run)
    is_wrong = num_pixels != height * width
    is_wrong[frame_of_run[lengths < 0]] = True
    if is_wrong.any():
        frame_idx = int(np.argmax(is_wrong))
        raise ValueError(
            f"run-length code {frame_idx} of {len(masklet)} covers {num_pixels[frame_idx]} pixels, "
            f"its size (height, width) {size} has {height * width}: it is damaged or truncated"
        )
    return lengths, first_run, frame_of_run


def _run_lengths(
    masklet: Masklet,
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Lengths of all runs of all masks; of every mask its first run; of every run its mask."""
    codes = [mask["counts"].encode("latin-1") for mask in masklet]
    characters = np.frombuffer(b"".join(codes), np.uint8).astype(np.int64) - 48
    num_characters = np.array([len(code) for code in codes])
    last_characters = np.cumsum(num_characters) - 1
    is_last = (characters & 0x20) == 0  # of a number
    if not num_characters.all() or not is_last[last_characters].all():
        raise ValueError("a run-length code ends within a number: it is damaged or truncated")
    ends = np.flatnonzero(is_last)
    starts = np.concatenate([[0], ends[:-1] + 1])
    shifts = 5 * (np.arange(len(characters)) - np.repeat(starts, ends - starts + 1))
    numbers = np.add.reduceat((characters & 0x1F) << shifts, starts)
    numbers -= np.where(characters[ends] & 0x10, np.int64(1) << (shifts[ends] + 5), 0)

    frame_of_run = np.repeat(np.arange(len(masklet)), num_characters)[ends]
    first_run = np.searchsorted(frame_of_run, np.arange(len(masklet)))
    return _undo_differences(numbers, first_run, frame_of_run), first_run, frame_of_run


def _undo_differences(
    numbers: NDArray[np.int64], first_run: NDArray[np.int64], frame_of_run: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Adds up every second number within a mask; its very first one stands alone."""
    number_within = _number_within(first_run, frame_of_run)
    lengths = numbers.copy()
    for first in (1, 2):
        chain = np.flatnonzero((number_within >= first) & (number_within % 2 == first % 2))
        total = np.cumsum(numbers[chain])
        is_first = number_within[chain] == first
        before = (total - numbers[chain])[is_first]  # sum over the masks before
        lengths[chain] = total - before[np.cumsum(is_first) - 1]
    return lengths


def _number_within(
    first_run: NDArray[np.int64], frame_of_run: NDArray[np.int64]
) -> NDArray[np.int64]:
    return np.arange(len(frame_of_run)) - first_run[frame_of_run]
