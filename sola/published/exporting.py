"""Shards -> the published code's files."""

import shutil
from pathlib import Path

import numpy as np

from sola.config.progress import progress
from sola.errors import UserError
from sola.metrics import mean_iou
from sola.published.track_file import MASKLETS_DIR, OVERLAPS, TOKENS_DIR, TrackFile, write_track
from sola.shards import ShardReader
from sola.types import Labels, MeanOverlaps, Tracks


def export_tracks(reader: ShardReader, split_dir: Path) -> None:
    """Writes all tracks of some shards as a tree, which is there when it is complete.

    Args:
        reader: of the shards.
        split_dir: ``<gt|grid|gdino>_tracks/<dataset>/<split>``, is made.

    Raises:
        UserError: if the folder is there.
    """
    if split_dir.exists():
        raise UserError(f"{split_dir}: already exists. Choose another folder, or move it away.")
    staging_dir = split_dir.with_name(f"{split_dir.name}.part")
    if staging_dir.exists():
        shutil.rmtree(staging_dir)
    names = list(reader.index["entries"])
    with progress(f"exporting {reader.tracks_dir}", len(names)) as advance:
        for name in names:
            video_id, _, expression_id = name.partition("/")
            for folder in (MASKLETS_DIR, TOKENS_DIR):
                (staging_dir / folder / name).mkdir(parents=True)
            for track in _track_files(reader.read(video_id, expression_id), reader.source):
                write_track(staging_dir, name, track, reader.source)
            advance("")
    staging_dir.rename(split_dir)


def mean_overlaps(labels: Labels) -> MeanOverlaps:
    """The means over frames that the published files hold.

    Precision and recall are the shared pixels' part of the track and of the object; a frame on
    which the one is empty counts 1 if the other is too, else 0.
    """
    shared = labels.intersections.astype(np.int64)
    tracks, objects = np.broadcast_arrays(labels.track_areas[:, None], labels.object_areas[None])
    both_empty = (tracks == 0) & (objects == 0)
    precision, recall = (
        np.where(both_empty, 1.0, shared / np.maximum(area, 1)).mean(axis=-1)
        for area in (tracks, objects)
    )
    return MeanOverlaps(labels.object_ids, mean_iou(labels, "count"), precision, recall)


def _track_files(tracks: Tracks, source: str) -> list[TrackFile]:
    labels = mean_overlaps(tracks.labels) if isinstance(tracks.labels, Labels) else tracks.labels
    return [
        TrackFile(number, tracks.masklets[idx], tracks.object_tokens[idx], _overlaps(labels, idx))
        for idx, number in enumerate(_numbers(tracks, source))
    ]


def _numbers(tracks: Tracks, source: str) -> tuple[int, ...]:
    """The files' own where the tracks came from there; else in order, or by the prompts' area."""
    if tracks.numbers is not None:
        return tracks.numbers
    if source == "gt":
        return tuple(range(len(tracks.prompts)))
    by_area = np.argsort([-prompt.area for prompt in tracks.prompts], kind="stable")
    return tuple(np.argsort(by_area).tolist())


def _overlaps(labels: MeanOverlaps | None, idx: int) -> dict[str, dict[str, float]] | None:
    if labels is None:
        return None
    return {
        name: dict(zip(labels.object_ids, getattr(labels, name)[idx].tolist(), strict=True))
        for name in OVERLAPS
    }
