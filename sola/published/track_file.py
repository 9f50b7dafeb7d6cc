"""One track in the published code's files: masks and overlaps as JSON, object tokens as npy."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sola.errors import UserError
from sola.files import Damage, readable, refusals
from sola.masks import check_codes, common_size
from sola.types import Masklet

MASKLETS_DIR = "sam2_masklets"
TOKENS_DIR = "sam2_object_tokens"
PROMPT_TYPES = {"gt": "GT MASK", "grid": "SAM2 AMG MASK", "gdino": "SAM2 AMG MASK"}
OVERLAPS = ("iou", "precision", "recall")
"""Means over frames, of each track with each ground-truth object."""


@dataclass(frozen=True)
class TrackFile:
    """A track as the files have it."""

    number: int
    """Its name: gt: place of the object; grid and gdino: the prompt's rank by area, with gaps."""
    masklet: Masklet
    """T masks."""
    object_tokens: np.ndarray
    """(T, D) float32."""
    overlaps: Mapping[str, Mapping[str, float]] | None
    """``OVERLAPS`` -> object id -> mean; None where there is no ground truth."""


def track_paths(split_dir: Path, entry: str) -> dict[int, tuple[Path, Path]]:
    """The JSON and the npy file of every track of an entry, by number, in order.

    Args:
        split_dir: ``<gt|grid|gdino>_tracks/<dataset>/<split>``.
        entry: ``<video>``, for gdino ``<video>/<expression>``.

    Raises:
        UserError: if a track has only one of the two, or a file's name is no number.
    """
    json_paths = _numbered(split_dir / MASKLETS_DIR / entry, ".json")
    npy_paths = _numbered(split_dir / TOKENS_DIR / entry, ".npy")
    for number in sorted(json_paths.keys() ^ npy_paths.keys()):
        there = json_paths.get(number) or npy_paths[number]
        other = (TOKENS_DIR, ".npy") if number in json_paths else (MASKLETS_DIR, ".json")
        missing = split_dir / other[0] / entry / f"{there.stem}{other[1]}"
        raise UserError(f"{missing}: not found, and {there} needs it. Copy the tree again.")
    return {number: (json_paths[number], npy_paths[number]) for number in sorted(json_paths)}


def read_track(number: int, json_path: Path, npy_path: Path, source: str) -> TrackFile:
    """One track.

    Raises:
        UserError: if a file is unreadable, incomplete, of another source or does not fit the
            other.
    """
    content = _read_json(json_path)
    if content["anno_id"] != number:
        raise UserError(f"{json_path}: anno_id is {content['anno_id']!r}, needed is {number}.")
    if content["prompt_type"] != PROMPT_TYPES[source]:
        raise UserError(
            f"{json_path}: prompt_type is {content['prompt_type']!r}, that of source {source} is "
            f"{PROMPT_TYPES[source]!r}. Choose the tree's own prompt_source."
        )
    masklet, tokens = _read_masklet(json_path, content["rle"]), _read_tokens(npy_path)
    if len(tokens) != len(masklet):
        raise UserError(
            f"{npy_path}: object tokens of {len(tokens)} frames, {json_path} has masks of "
            f"{len(masklet)}; both need the same number."
        )
    return TrackFile(number, masklet, tokens, _read_overlaps(json_path, content))


def write_track(split_dir: Path, entry: str, track: TrackFile, source: str) -> None:
    """Writes both files of one track into folders that are there."""
    name = f"{track.number:05d}"
    content = {
        "anno_id": track.number,
        "rle": track.masklet,
        "prompt_type": PROMPT_TYPES[source],
        **(track.overlaps or {}),
    }
    (split_dir / MASKLETS_DIR / entry / f"{name}.json").write_text(json.dumps(content))
    np.save(split_dir / TOKENS_DIR / entry / f"{name}.npy", track.object_tokens)


def _numbered(folder: Path, suffix: str) -> dict[int, Path]:
    numbers: dict[int, Path] = {}
    for path in sorted(folder.glob(f"*{suffix}")):
        if not path.stem.isdecimal() or int(path.stem) in numbers:
            raise UserError(f"{path}: its name is no number of a track, such as 00003{suffix}.")
        numbers[int(path.stem)] = path
    return numbers


def _read_json(path: Path) -> dict[str, Any]:
    with refusals(path):
        text = path.read_bytes()
    try:
        content = json.loads(text.decode())
    except (ValueError, RecursionError) as error:  # of JSON or of the text's encoding
        raise UserError(f"{path}: not readable as JSON ({error}). Copy it again.") from error
    needed = ("anno_id", "rle", "prompt_type")
    if not isinstance(content, dict) or any(key not in content for key in needed):
        raise UserError(f"{path}: not a track's file; needed are the keys {', '.join(needed)}.")
    return content


def _read_masklet(path: Path, codes: Any) -> Masklet:
    try:
        masklet: Masklet = [
            {"size": [int(side) for side in code["size"]], "counts": str(code["counts"])}
            for code in codes
        ]
        size = common_size([masklet])
        if size is None:
            raise UserError("there is no mask")
        check_codes(masklet, size)
    except (ValueError, TypeError, KeyError) as error:
        raise UserError(f'{path}: "rle" cannot be read as masks ({error!s}).') from error
    return masklet


def _read_tokens(path: Path) -> np.ndarray:
    # a file that is shorter than it says is told before memory is taken; none may run code
    with readable(path, "Copy it again."), np.errstate(over="raise"):
        try:
            tokens = np.lib.format.open_memmap(path, mode="r")
        except FloatingPointError as error:
            raise Damage("claims more values than a file can hold") from error
    if tokens.ndim != 2 or tokens.dtype != np.float32:
        raise UserError(
            f"{path}: object tokens are {tokens.dtype} of shape {tokens.shape}; needed is float32, "
            "(frames, width)."
        )
    if not np.isfinite(tokens).all():
        raise UserError(f"{path}: object tokens are not all finite.")
    return np.array(tokens)


def _read_overlaps(path: Path, content: dict[str, Any]) -> dict[str, dict[str, float]] | None:
    there = [name for name in OVERLAPS if name in content]
    if not there:
        return None
    try:
        overlaps = {
            name: {str(object_id): float(mean) for object_id, mean in sorted(content[name].items())}
            for name in OVERLAPS
        }
    except (KeyError, AttributeError, TypeError, ValueError) as error:
        raise UserError(
            f'{path}: needed are all or none of {", ".join(OVERLAPS)}, each {{"object": number}}.'
        ) from error
    if len({tuple(of_objects) for of_objects in overlaps.values()}) > 1:
        raise UserError(f"{path}: {', '.join(OVERLAPS)} are not of the same objects.")
    for object_id, iou in overlaps["iou"].items():
        if not 0 <= iou <= 1:
            raise UserError(f"{path}: iou with {object_id} is {iou}; it lies in [0, 1].")
    return overlaps
