"""Convert track files of the published code (JSON masks, npy object tokens) to shards."""

from pathlib import Path
from typing import Any

import numpy as np

from sola.config.console import progress
from sola.datasets import Split
from sola.datasets.frames import frame_size
from sola.errors import UserError
from sola.files import Damage, read_json, readable
from sola.masks import check_codes, common_size, empty_masklet
from sola.metrics import count_pixels
from sola.shards import ShardWriter
from sola.types import Masklet, Prompt, Tracks

MASKLETS_DIR, TOKENS_DIR = "sam2_masklets", "sam2_object_tokens"
PROMPT_TYPES = {"gt": "GT MASK", "grid": "SAM2 AMG MASK", "gdino": "SAM2 AMG MASK"}
COPY_AGAIN = "Copy it again."


def import_tracks(
    split_dir: Path, writer: ShardWriter, source: str, token_dim: int, dataset: Split
) -> None:
    """Write all tracks of a tree as shards, resuming an interrupted import.

    Args:
        split_dir: ``<gt|grid|gdino>_tracks/<dataset>/<split>`` of the tree.
        writer: stores the tracks.
        source: gt, grid or gdino.
        token_dim: D, the required width of object tokens.
        dataset: the split of the tracks, with its videos, expressions, frames and ground truth.

    Raises:
        UserError: if the tree is incomplete, damaged or of another split; the message names the
            file.
    """
    entries = _entries(split_dir, source, dataset)
    writer.start()
    with progress(f"importing {split_dir}", len(entries)) as advance:
        for entry in entries:
            if not writer.has(*entry):
                writer.stage(_read_entry(split_dir, entry, source, token_dim, dataset))
            advance()
    writer.finish(entries)


def read_track(json_path: Path, npy_path: Path, source: str) -> tuple[Masklet, np.ndarray]:
    """Return the T masks and (T, D) float32 object tokens of one track.

    Raises:
        UserError: if a file is unreadable or of another source.
    """
    content = read_json(json_path, COPY_AGAIN)
    if not isinstance(content, dict) or not {"rle", "prompt_type"} <= content.keys():
        raise UserError(f"{json_path}: not a track's file, expected the keys rle, prompt_type.")
    if content["prompt_type"] != PROMPT_TYPES[source]:
        raise UserError(
            f"{json_path}: prompt_type must be {PROMPT_TYPES[source]!r} for source {source}, got "
            f"{content['prompt_type']!r}. Choose the tree's own prompt_source."
        )
    return _read_masklet(json_path, content["rle"]), _read_tokens(npy_path)


def _entries(split_dir: Path, source: str, dataset: Split) -> list[tuple[str, str]]:
    """Return (video id, expression id or "") of each entry, after checking the tree's videos."""
    masklets_dir = split_dir / MASKLETS_DIR
    if not masklets_dir.is_dir():
        raise UserError(
            f"{masklets_dir}: not found, expected a tree of the published code: "
            f"{source}_tracks/<dataset>/<split>/{MASKLETS_DIR}/<video>/00000.json."
        )
    folders = [path for name in (MASKLETS_DIR, TOKENS_DIR) for path in (split_dir / name).iterdir()]
    different = {path.name for path in folders} ^ dataset.videos.keys()
    if different:
        raise UserError(
            f"{split_dir}: its videos are not those of {dataset.split} of {dataset.name}; "
            f"{len(different)} differ, such as {min(different)}. Check dataset and split, or get "
            "the whole tree (a video without tracks is an empty folder)."
        )
    if source != "gdino":
        entries = [(video_id, "") for video_id in dataset.videos]
    else:  # an expression without a folder has no tracks
        entries = [(e.video_id, e.expression_id) for e in dataset.expressions]
    known = {masklets_dir.joinpath(*entry) for entry in entries}
    for folder in {path.parent for path in masklets_dir.rglob("*.json")} - known:
        raise UserError(
            f"{folder}: no entry of source {source} in {dataset.split} of {dataset.name}. "
            "Choose the tree's own prompt_source, dataset and split."
        )
    return entries


def _read_entry(
    split_dir: Path, entry: tuple[str, str], source: str, token_dim: int, dataset: Split
) -> Tracks:
    """Read all tracks of a video or an expression; the files hold no scores or prompts."""
    frame_paths = dataset.videos[entry[0]].frame_paths
    num_frames, size = len(frame_paths), frame_size(frame_paths[0])
    masklets, tokens = [], []
    folders = [(split_dir / name).joinpath(*entry) for name in (MASKLETS_DIR, TOKENS_DIR)]
    for name in sorted({path.stem for folder in folders for path in folder.glob("*.*")}):
        json_path, npy_path = folders[0] / f"{name}.json", folders[1] / f"{name}.npy"
        masklet, of_track = read_track(json_path, npy_path, source)
        if (len(masklet), common_size([masklet])) != (num_frames, size):
            raise UserError(
                f"{json_path}: {len(masklet)} masks of (height, width) {common_size([masklet])}; "
                f"the video has {num_frames} frames of {size}."
            )
        if of_track.shape != (num_frames, token_dim):
            raise UserError(
                f"{npy_path}: object tokens must have shape {(num_frames, token_dim)} (frames, "
                f"tracker.token_dim), got {of_track.shape}. Choose the tracker that made them."
            )
        masklets.append(masklet)
        tokens.append(of_track)
    labels = None
    if dataset.has_masks:
        labels = count_pixels(masklets, dataset.ground_truth(entry[0]), num_frames)
    nowhere = empty_masklet(1, size)[0]
    return Tracks(
        *entry,
        object_tokens=np.array(tokens, np.float32).reshape(-1, num_frames, token_dim),
        object_scores=np.full((len(tokens), num_frames), np.nan, np.float32),
        masklets=tuple(masklets),
        prompts=tuple(Prompt(-1, nowhere, -1, source) for _ in masklets),
        size=size,
        labels=labels,
    )


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
    # a memory map checks the size before it allocates, and runs no code in the file
    with readable(path, COPY_AGAIN), np.errstate(over="raise"):
        try:
            tokens = np.lib.format.open_memmap(path, mode="r")
        except FloatingPointError as error:
            raise Damage("claims more values than a file can hold") from error
    if tokens.dtype != np.float32 or not np.isfinite(tokens).all():
        raise UserError(f"{path}: object tokens must be float32 and finite, got {tokens.dtype}.")
    return np.array(tokens)
