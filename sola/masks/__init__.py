"""Masks as COCO run-length codes: pure functions over numpy arrays."""

from sola.masks.run_length import (
    areas,
    boxes,
    common_size,
    decode,
    empty_masklet,
    encode,
    encode_changes,
    intersections,
    merge,
    resize,
)
from sola.masks.runs import check_codes

__all__ = [
    "areas",
    "boxes",
    "check_codes",
    "common_size",
    "decode",
    "empty_masklet",
    "encode",
    "encode_changes",
    "intersections",
    "merge",
    "resize",
]
