"""Convert the published code's files to shards, video by video."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from sola.config.progress import progress
from sola.datasets import Split
from sola.datasets.frames import frame_size
from sola.errors import UserError
from sola.masks import common_size, empty_masklet
from sola.metrics import count_pixels
from sola.published.track_file import MASKLETS_DIR, TOKENS_DIR, read_track, track_paths
from sola.shards import ShardWriter
from sola.types import Masklet, Prompt, Tracks


def import_tracks(
    split_dir: Path, writer: ShardWriter, source: str, token_dim: int, dataset: Split
) -> None:
    """Write all tracks of a tree as shards; resumes an interrupted import.

    Args:
        split_dir: ``<gt|grid|gdino>_tracks/<dataset>/<split>`` of the tree.
        writer: takes the tracks.
        source: gt, grid or gdino.
        token_dim: D, the required width of object tokens.
        dataset: the split that the tracks are of: its videos, expressions, frames and ground truth.

    Raises:
        UserError: if the tree is incomplete, damaged or of another split; the message names the
            file.
    """
    entries = _entries(split_dir, source, dataset)
    writer.start()
    with progress(f"importing {split_dir}", len(entries)) as advance:
        for video_id, expression_id in entries:
            if not writer.has(video_id, expression_id):
                paths = track_paths(split_dir, f"{video_id}/{expression_id}".rstrip("/"))
                frame_paths = dataset.videos[video_id].frame_paths
                shape = (len(frame_paths), frame_size(frame_paths[0]), token_dim)
                masklets, tokens = _read_all(paths, source, shape)
                empty = empty_masklet(1, shape[1])[0]
                labels = None
                if dataset.has_masks:
                    truth = dataset.ground_truth(video_id)
                    labels = count_pixels(masklets, truth, len(frame_paths))
                writer.stage(
                    Tracks(
                        video_id=video_id,
                        expression_id=expression_id,
                        object_tokens=tokens,
                        object_scores=np.full(tokens.shape[:2], np.nan, np.float32),
                        masklets=tuple(masklets),
                        prompts=tuple(Prompt(-1, empty, -1, source) for _ in masklets),
                        size=shape[1],
                        labels=labels,
                    )
                )
            advance("")
    writer.finish(entries)


def _read_all(
    paths: Sequence[tuple[Path, Path]], source: str, shape: tuple[int, tuple[int, int], int]
) -> tuple[list[Masklet], np.ndarray]:
    """Return N masklets and (N, T, D) object tokens; ``shape`` is T, (H, W), D."""
    num_frames, size, token_dim = shape
    masklets, tokens = [], np.zeros((len(paths), num_frames, token_dim), np.float32)
    for idx, (json_path, npy_path) in enumerate(paths):
        masklet, of_track = read_track(json_path, npy_path, source)
        found = (len(masklet), common_size([masklet]))
        if found != (num_frames, size):
            raise UserError(
                f"{json_path}: {found[0]} masks of (height, width) {found[1]}; the video has "
                f"{num_frames} frames of {size}."
            )
        if of_track.shape[1] != token_dim:
            raise UserError(
                f"{json_path}: its object tokens are {of_track.shape[1]} wide, tracker.token_dim "
                f"is {token_dim}. Choose the tracker that made them."
            )
        masklets.append(masklet)
        tokens[idx] = of_track
    return masklets, tokens


def _entries(split_dir: Path, source: str, dataset: Split) -> list[tuple[str, str]]:
    """Return (video id, expression id or "") of a split; the tree must have its videos."""
    if not (split_dir / MASKLETS_DIR).is_dir():
        raise UserError(
            f"{split_dir / MASKLETS_DIR}: not found, expected a tree of the published code: "
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
    depth = "*/*/*.json" if source == "gdino" else "*/*.json"
    names = {"/".join(entry).rstrip("/") for entry in entries}
    for path in (split_dir / MASKLETS_DIR).rglob("*.json"):
        folder = path.parent.relative_to(split_dir / MASKLETS_DIR)
        if not path.match(depth) or folder.as_posix() not in names:
            raise UserError(
                f"{path.parent}: no entry of source {source} in {dataset.split} of {dataset.name}. "
                "Choose the tree's own prompt_source, dataset and split."
            )
    return entries
