"""Shrink masklets run by run, without decoding them."""

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco

from sola.masks.run_length import common_size
from sola.masks.runs import Runs, find_runs
from sola.types import Masklet, RunLength


def shrink(masklet: Masklet, size: tuple[int, int]) -> Masklet:
    """Shrink every mask by nearest neighbour: equal to ``resize``, but faster.

    Dropping rows and columns keeps the order of pixels, so a run stays a run.

    Args:
        masklet: T run-length masks of one size.
        size: (H, W), neither larger than that of the masks.

    Raises:
        ValueError: if it is larger, the masks have different sizes, or a code is damaged.
    """
    found = common_size([masklet])
    if found is None or found == size:
        return masklet
    if size[0] > found[0] or size[1] > found[1]:
        raise ValueError(f"size: must not exceed the masks' (height, width) {found}, got {size}")
    runs = find_runs(masklet, found)
    starts, ends = _ranks(runs.starts, found, size), _ranks(runs.ends, found, size)
    is_left = ends > starts
    return _encode(Runs(starts[is_left], ends[is_left], len(masklet), size))


def _ranks(
    places: NDArray[np.int64], found: tuple[int, int], size: tuple[int, int]
) -> NDArray[np.int64]:
    """Count the pixels before each place that are kept."""
    # rows and columns that are kept
    rows, columns = (np.arange(new) * old // new for new, old in zip(size, found, strict=True))
    rows_before = np.searchsorted(rows, np.arange(found[0]))
    columns_before = np.searchsorted(columns, np.arange(found[1]))
    stays = np.isin(np.arange(found[1]), columns)
    frame, within = np.divmod(places, found[0] * found[1])
    column, row = np.divmod(within, found[0])
    in_column = np.where(stays[column], rows_before[row], 0)
    return frame * (size[0] * size[1]) + columns_before[column] * size[0] + in_column


def _encode(runs: Runs) -> Masklet:
    height, width = runs.size
    num_pixels = height * width
    limits = np.arange(runs.num_frames + 1) * num_pixels
    first = np.searchsorted(runs.starts, limits)
    codes = []
    for frame_idx in range(runs.num_frames):
        own = slice(first[frame_idx], first[frame_idx + 1])
        starts, ends = runs.starts[own], runs.ends[own]
        is_apart = starts[1:] > ends[:-1]  # what lay between two runs may be gone
        starts = starts[np.append(True, is_apart)[: len(starts)]]
        ends = ends[np.append(is_apart, True)[: len(ends)]]
        places = np.stack([starts, ends], axis=1).ravel()
        lengths = np.diff(places, prepend=limits[frame_idx], append=limits[frame_idx + 1])
        counts = lengths[:-1] if len(lengths) > 1 and lengths[-1] == 0 else lengths
        codes.append({"size": [height, width], "counts": counts.tolist()})
    return [
        RunLength(size=[height, width], counts=code["counts"].decode())
        for code in coco.frPyObjects(codes, height, width)
    ]
