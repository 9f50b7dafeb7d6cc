"""Masks as COCO run-length codes and as bits of frames: pure functions over numpy arrays."""

from sola.masks.frame_bits import FrameBits, count_by_frame, pack_masks, pack_runs
from sola.masks.run_length import (
    areas,
    boxes,
    common_length,
    common_size,
    decode,
    empty_masklet,
    encode,
    intersections,
    merge,
    resize,
)
from sola.masks.runs import (
    Runs,
    check_codes,
    count_combinations,
    empty_runs,
    find_runs,
    jaccard,
    shared_pixels,
    unite,
)

__all__ = [
    "FrameBits",
    "Runs",
    "areas",
    "boxes",
    "check_codes",
    "common_length",
    "common_size",
    "count_by_frame",
    "count_combinations",
    "decode",
    "empty_masklet",
    "empty_runs",
    "encode",
    "find_runs",
    "intersections",
    "jaccard",
    "merge",
    "pack_masks",
    "pack_runs",
    "resize",
    "shared_pixels",
    "unite",
]
