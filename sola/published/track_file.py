"""One track in the published code's files: masks as JSON, object tokens as npy."""

from pathlib import Path
from typing import Any

import numpy as np

from sola.errors import UserError
from sola.files import Damage, read_json, readable
from sola.masks import check_codes, common_size
from sola.types import Masklet

MASKLETS_DIR = "sam2_masklets"
TOKENS_DIR = "sam2_object_tokens"
PROMPT_TYPES = {"gt": "GT MASK", "grid": "SAM2 AMG MASK", "gdino": "SAM2 AMG MASK"}
COPY_AGAIN = "Copy it again."


def track_paths(split_dir: Path, entry: str) -> list[tuple[Path, Path]]:
    """Return the JSON and the npy file of every track of an entry, in order.

    Args:
        split_dir: ``<gt|grid|gdino>_tracks/<dataset>/<split>``.
        entry: ``<video>``, for gdino ``<video>/<expression>``.

    Raises:
        UserError: if a track has only one of the two, or its name is no number.
    """
    folders = {".json": split_dir / MASKLETS_DIR / entry, ".npy": split_dir / TOKENS_DIR / entry}
    names = {path.stem for end, folder in folders.items() for path in folder.glob(f"*{end}")}
    paths = []
    for name in sorted(names):
        pair = [folder / f"{name}{end}" for end, folder in folders.items()]
        if not name.isdecimal():
            raise UserError(f"{pair[0]}: expected the number of a track, such as 00003.json.")
        for path, other in (pair, reversed(pair)):
            if not path.exists():
                raise UserError(f"{path}: not found, and {other} needs it. Copy the tree again.")
        paths.append((pair[0], pair[1]))
    return paths


def read_track(json_path: Path, npy_path: Path, source: str) -> tuple[Masklet, np.ndarray]:
    """Return T masks and (T, D) float32 object tokens of one track.

    Raises:
        UserError: if a file is unreadable, of another source, or does not fit the other.
    """
    content = read_json(json_path, COPY_AGAIN)
    if not isinstance(content, dict) or not {"rle", "prompt_type"} <= content.keys():
        raise UserError(f"{json_path}: not a track's file, expected the keys rle, prompt_type.")
    if content["prompt_type"] != PROMPT_TYPES[source]:
        raise UserError(
            f"{json_path}: prompt_type must be {PROMPT_TYPES[source]!r} for source {source}, got "
            f"{content['prompt_type']!r}. Choose the tree's own prompt_source."
        )
    masklet, tokens = _read_masklet(json_path, content["rle"]), _read_tokens(npy_path)
    if len(tokens) != len(masklet):
        raise UserError(
            f"{npy_path}: object tokens of {len(tokens)} frames, {json_path} has masks of "
            f"{len(masklet)}."
        )
    return masklet, tokens


def _read_masklet(path: Path, codes: Any) -> Masklet:
    try:
        masklet: Masklet = [
            {"size": [int(side) for side in code["size"]], "counts": str(code["counts"])}
            for code in codes
        ]
        check_codes(masklet, common_size([masklet]) or (0, 0))
    except (ValueError, TypeError, KeyError) as error:
        raise UserError(f'{path}: "rle" is not a list of masks ({error!s}).') from error
    return masklet


def _read_tokens(path: Path) -> np.ndarray:
    # a memory map checks the size first; no code in the file is run
    with readable(path, COPY_AGAIN), np.errstate(over="raise"):
        try:
            tokens = np.lib.format.open_memmap(path, mode="r")
        except FloatingPointError as error:
            raise Damage("claims more values than a file can hold") from error
    if tokens.ndim != 2 or tokens.dtype != np.float32:
        raise UserError(
            f"{path}: object tokens must be float32 of shape (frames, width), got {tokens.dtype} "
            f"of shape {tokens.shape}."
        )
    if not np.isfinite(tokens).all():
        raise UserError(f"{path}: object tokens are not all finite.")
    return np.array(tokens)
