"""Masks as COCO run-length codes and as crops: pure functions over numpy arrays."""

from sola.masks.crop import EMPTY_CROP, MaskCrop, crop, decode_crops, shared_pixels, union
from sola.masks.run_length import (
    areas,
    boxes,
    common_length,
    common_size,
    decode,
    empty_masklet,
    encode,
    intersections,
    iou,
    merge,
    resize,
)
from sola.masks.runs import check_codes

__all__ = [
    "EMPTY_CROP",
    "MaskCrop",
    "areas",
    "boxes",
    "check_codes",
    "common_length",
    "common_size",
    "crop",
    "decode",
    "decode_crops",
    "empty_masklet",
    "encode",
    "intersections",
    "iou",
    "merge",
    "resize",
    "shared_pixels",
    "union",
]
