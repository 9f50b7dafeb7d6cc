"""Checks a mask_dict.json against the expressions and frames that it belongs to."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from sola.datasets.mask_dict import MaskList, mask_problem, scan_masks
from sola.datasets.mevis import MeViS
from sola.datasets.problems import Problem, shorten
from sola.errors import UserError
from sola.masks import areas, check_codes
from sola.types import Masklet


@dataclass(frozen=True)
class _Object:
    """What the expressions say of an object."""

    video_id: str
    frames: list[str]
    """In the order in which masks are listed."""
    size: tuple[int, int] | None
    """(H, W) of the frames, where they can be read."""


def check_mask_dict(split: MeViS, sizes: Mapping[str, tuple[int, int]]) -> Iterator[Problem]:
    """What is wrong with a split's masks; nothing where there are none.

    Args:
        split: the split.
        sizes: (H, W) of the frames, by video.
    """
    path = split.mask_dict.path
    if not path.is_file():
        return
    expected = _expected_objects(split, sizes)
    for object_id, (first, *others) in expected.items():
        for other in others:
            reason = f"is named in videos {first.video_id} and {other.video_id}"
            yield Problem(split.meta_path, f"object {shorten(object_id)} {reason}", is_error=False)
    seen = set[str]()
    try:
        with path.open("rb") as file:
            for entry in scan_masks(file, path):
                yield from (Problem(path, *found) for found in _check_entry(entry, expected, seen))
                seen.add(entry.object_id)
    except UserError as error:
        yield Problem(path, str(error).removeprefix(f"{path}: "))
        return
    for object_id in expected.keys() - seen:
        reason = f"no masks of object {shorten(object_id)}, which an expression names"
        yield Problem(path, f"{reason} (video {expected[object_id][0].video_id})")
    unnamed = sorted(seen - expected.keys())
    if unnamed:
        reason = f"{len(unnamed)} objects that no expression names, such as {shorten(unnamed[0])}"
        yield Problem(path, reason, is_error=False)


def _expected_objects(
    split: MeViS, sizes: Mapping[str, tuple[int, int]]
) -> dict[str, list[_Object]]:
    """By id; of one video each, unless something is odd."""
    expected: dict[str, list[_Object]] = {}
    for video_id in split.videos:
        known = _Object(video_id, split.listed_frames(video_id), sizes.get(video_id))
        for object_id in split.named_objects(video_id):
            expected.setdefault(object_id, []).append(known)
    return expected


def _check_entry(
    entry: MaskList, expected: Mapping[str, list[_Object]], seen: set[str]
) -> Iterator[tuple[str, bool]]:
    where = f"object {shorten(entry.object_id)}"
    if entry.object_id in seen:
        yield f"{where} is there twice", True
    for known in expected.get(entry.object_id, ()):
        for reason, is_error in _check_object(entry, known):
            yield f"{where} of video {known.video_id}{reason}", is_error


def _check_object(entry: MaskList, known: _Object) -> Iterator[tuple[str, bool]]:
    if len(entry.masks) != len(known.frames):
        yield f" has {len(entry.masks)} masks for {len(known.frames)} frames", True
        return
    pairs = [pair for pair in zip(known.frames, entry.masks, strict=True) if pair[1] is not None]
    broken = [(frame, mask_problem(mask)) for frame, mask in pairs if mask_problem(mask)]
    if broken:
        frame, reason = broken[0]
        yield f", frame {frame}: the mask {reason} ({len(broken)} such masks)", True
        return
    yield from ((f": {reason}", is_error) for reason, is_error in _check_codes(entry, known))


def _check_codes(entry: MaskList, known: _Object) -> Iterator[tuple[str, bool]]:
    masks: list[Any] = [mask for mask in entry.masks if mask is not None]
    num_pixels = 0
    for size, group in groupby(sorted(masks, key=_size_of), key=_size_of):
        masklet: Masklet = list(group)
        try:
            check_codes(masklet, size)
        except ValueError as error:
            yield f"damaged masks: {error}", True
            return
        num_pixels += int(areas([masklet]).sum())
    if not num_pixels:
        yield "never visible", False
    other = [mask for mask in masks if known.size and _size_of(mask) != known.size]
    if other and known.size:
        yield (
            f"{len(other)} masks of another size than the frames, such as {_px(_size_of(other[0]))}"
            f" on frames of {_px(known.size)}; they are resized",
            False,
        )


def _size_of(mask: Any) -> tuple[int, int]:
    height, width = mask["size"]
    return height, width


def _px(size: tuple[int, int]) -> str:
    return f"{size[1]} x {size[0]} px"
