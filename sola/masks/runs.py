"""Runs of pixels: decode COCO's compressed run lengths in numpy, and set operations on them.

The decoder returns the same masks as ``pycocotools.mask.decode``, 7 to 10 times as fast from 720p
on. Unlike pycocotools, which then returns uninitialized memory, it refuses a truncated code.

A code lists the lengths of runs, alternately outside and inside, down the columns. From the fourth
on, a length is stored as its difference to the length two before. A number is written in characters
of 5 bits plus 48, lowest bits first; bit 5 means that more follow, and bit 4 of the last character
is the sign.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from sola.types import Masklet

MAX_PIXELS = 1 << 26  # per mask, 8192 x 8192: a code of ten characters can claim a terabyte


def decode_columns(masklet: Masklet, size: tuple[int, int]) -> NDArray[np.bool_]:
    """Decode a masklet, columns first.

    Args:
        masklet: T >= 1 run-length masks.
        size: (H, W) of every mask.

    Returns:
        (T, W, H) bool.

    Raises:
        ValueError: if a code is damaged, or encodes a mask of another size.
    """
    lengths, first_run, frame_of_run = _checked_runs(masklet, size)
    height, width = size
    is_inside = (_number_within(first_run, frame_of_run) % 2).astype(bool)
    return np.repeat(is_inside, lengths).reshape(len(masklet), width, height)


@dataclass(frozen=True)
class Runs:
    """All runs of pixels inside the masks of a masklet, in order.

    Pixels are numbered down the columns of the first frame, then of the second, and so on.

    Attributes:
        starts: (runs,) first pixel of each run.
        ends: (runs,) one past the last pixel of each run.
        num_frames: T.
        size: (H, W) of every mask.
    """

    starts: NDArray[np.int64]
    ends: NDArray[np.int64]
    num_frames: int
    size: tuple[int, int]

    @property
    def is_empty(self) -> bool:
        """Whether every mask is empty."""
        return self.starts.size == 0


def find_runs(masklet: Masklet, size: tuple[int, int]) -> Runs:
    """Return the runs of the T masks of a masklet, all of (H, W) ``size``.

    Raises:
        ValueError: see ``decode_columns``.
    """
    if not masklet:
        return empty_runs(0, size)
    lengths, first_run, frame_of_run = _checked_runs(masklet, size)
    ends = np.cumsum(lengths)
    is_inside = (_number_within(first_run, frame_of_run) % 2 == 1) & (lengths > 0)
    return Runs(ends[is_inside] - lengths[is_inside], ends[is_inside], len(masklet), size)


def empty_runs(num_frames: int, size: tuple[int, int]) -> Runs:
    """Return the runs of empty masks of (H, W) ``size``."""
    return Runs(np.zeros(0, np.int64), np.zeros(0, np.int64), num_frames, size)


def unite(parts: Sequence[Runs]) -> Runs:
    """Return the union of at least one masklet; all have the same length and size."""
    if len(parts) == 1:
        return parts[0]
    starts = np.sort(np.concatenate([part.starts for part in parts]), kind="stable")  # merges
    ends = np.sort(np.concatenate([part.ends for part in parts]), kind="stable")
    # A run of the union starts where as many runs have ended as have started.
    is_first = np.append(True, starts[1:] >= ends[:-1])[: len(starts)]
    is_last = np.append(is_first[1:], True)[: len(starts)]
    return replace(parts[0], starts=starts[is_first], ends=ends[is_last])


def jaccard(a: Runs, b: Runs) -> NDArray[np.float64]:
    """Return the IoU of two masklets of the same length and size, frame by frame.

    Returns:
        (T,) float64 in [0, 1]; 1 on a frame where both are empty.
    """
    shared = shared_pixels(a, b)
    union = pixels_by_frame(a) + pixels_by_frame(b) - shared
    return np.where(union == 0, 1.0, shared / np.maximum(union, 1))


def shared_pixels(a: Runs, b: Runs) -> NDArray[np.int64]:
    """Count the pixels inside both masklets, frame by frame: (T,)."""
    inside = np.cumsum(_pixels_before(a, b.ends) - _pixels_before(a, b.starts))
    num_runs = np.searchsorted(b.starts, _frame_ends(b))  # no run goes beyond its frame
    return np.diff(np.concatenate([[0], inside])[num_runs], prepend=0)


def pixels_by_frame(runs: Runs) -> NDArray[np.int64]:
    """Count the pixels of each mask: (T,)."""
    return np.diff(_pixels_before(runs, _frame_ends(runs)), prepend=0)


def _frame_ends(runs: Runs) -> NDArray[np.int64]:
    return np.arange(1, runs.num_frames + 1) * (runs.size[0] * runs.size[1])


def _pixels_before(runs: Runs, places: NDArray[np.int64]) -> NDArray[np.int64]:
    """Count the pixels of the runs before each place."""
    total = np.concatenate([[0], np.cumsum(runs.ends - runs.starts)])
    num_runs = np.searchsorted(runs.starts, places)  # started before the place
    last_end = np.concatenate([[0], runs.ends])[num_runs]
    return total[num_runs] - np.maximum(last_end - places, 0)


def check_codes(masklet: Masklet, size: tuple[int, int]) -> None:
    """Verify that masks can be decoded, without decoding them.

    Args:
        masklet: T run-length masks.
        size: (H, W) of every mask.

    Raises:
        ValueError: see ``decode_columns``.
    """
    if masklet:
        _checked_runs(masklet, size)


def _checked_runs(
    masklet: Masklet, size: tuple[int, int]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Return the result of ``_run_lengths`` after verifying it against the size."""
    height, width = size
    if height * width > MAX_PIXELS:
        raise ValueError(
            f"masks: at most {MAX_PIXELS:,} pixels are supported, got (height, width) {size}"
        )
    lengths, first_run, frame_of_run = _run_lengths(masklet)
    num_pixels = np.add.reduceat(lengths, first_run)
    is_wrong = num_pixels != height * width
    # lengths that are too large could add up to the right number, modulo 2**64
    is_wrong[frame_of_run[(lengths < 0) | (lengths > height * width)]] = True
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
    """Return the length of every run, the first run of every mask, and the mask of every run."""
    codes = [mask["counts"].encode("latin-1") for mask in masklet]
    characters = np.frombuffer(b"".join(codes), np.uint8).astype(np.int64) - 48
    num_characters = np.array([len(code) for code in codes])
    last_characters = np.cumsum(num_characters) - 1
    is_last = (characters & 0x20) == 0  # last character of a number
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
    """Convert differences to lengths by summing every second number within a mask.

    The first number of a mask is not a difference.
    """
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
