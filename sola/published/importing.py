"""The published code's files -> shards, video by video."""

import dataclasses
import logging
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from sola.config.progress import progress
from sola.datasets import Split
from sola.datasets.frames import frame_size
from sola.errors import UserError
from sola.masks import common_size, empty_masklet
from sola.metrics import count_pixels, mean_iou
from sola.published.track_file import (
    MASKLETS_DIR,
    OVERLAPS,
    TOKENS_DIR,
    TrackFile,
    read_track,
    track_paths,
)
from sola.shards import ShardWriter
from sola.types import Labels, MeanOverlaps, Prompt, Tracks

log = logging.getLogger(__name__)

IOU_TOLERANCE = 0.01


class Shape(NamedTuple):
    """What all masklets of a video share."""

    num_frames: int
    size: tuple[int, int]
    """(H, W)."""


def import_tracks(
    split_dir: Path, writer: ShardWriter, source: str, token_dim: int, dataset: Split | None
) -> None:
    """Writes all tracks of a tree as shards; goes on where an earlier run stopped.

    Args:
        split_dir: ``<gt|grid|gdino>_tracks/<dataset>/<split>`` of the tree.
        writer: takes the tracks.
        source: gt, grid or gdino.
        token_dim: D, the width that the object tokens need.
        dataset: the split that the tracks are of: says which videos, expressions and frames there
            are, and pixels are counted against its ground truth. None: the tree alone is asked,
            and labels are the means that it holds.

    Raises:
        UserError: if the tree is incomplete, damaged or of another split; the message names the
            file.
    """
    entries = _entries(split_dir, source, dataset)
    if dataset is None:
        _check_lengths_are_known(split_dir, entries)
    writer.start()
    with progress(f"importing {split_dir}", len(entries)) as advance:
        for video_id, expression_ids in entries.items():
            if not all(writer.has(video_id, expression_id) for expression_id in expression_ids):
                video = _Video(split_dir, video_id, source, token_dim, dataset)
                for tracks in video.read(expression_ids):
                    writer.stage(tracks)
            advance("")
    writer.finish([(video_id, e) for video_id, ids in entries.items() for e in ids])


class _Video:
    """The tracks of one video of a tree."""

    def __init__(
        self, split_dir: Path, video_id: str, source: str, token_dim: int, dataset: Split | None
    ) -> None:
        self.split_dir, self.video_id = split_dir, video_id
        self.source, self.token_dim, self.dataset = source, token_dim, dataset

    def read(self, expression_ids: Sequence[str]) -> Iterable[Tracks]:
        """The tracks of each expression; of the whole video for the expression ""."""
        found = {e: self._read_files(e) for e in expression_ids}
        shape = self._shape([file for files in found.values() for file in files.values()])
        for expression_id, files in found.items():
            for path, file in files.items():
                self._check(path, file, shape, next(iter(files.values())))
            yield self._tracks(expression_id, list(files.values()), shape)

    def _read_files(self, expression_id: str) -> dict[Path, TrackFile]:
        entry = f"{self.video_id}/{expression_id}" if expression_id else self.video_id
        return {
            paths[0]: read_track(number, *paths, self.source)
            for number, paths in track_paths(self.split_dir, entry).items()
        }

    def _shape(self, files: Sequence[TrackFile]) -> Shape:
        if self.dataset is not None:
            paths = self.dataset.videos[self.video_id].frame_paths
            return Shape(len(paths), frame_size(paths[0]))
        size = common_size([files[0].masklet])
        assert size is not None, "read_track refuses tracks without masks"
        return Shape(len(files[0].masklet), size)

    def _check(self, path: Path, file: TrackFile, shape: Shape, first: TrackFile) -> None:
        found = Shape(len(file.masklet), common_size([file.masklet]) or (0, 0))
        if found != shape:
            raise UserError(
                f"{path}: {found.num_frames} masks of (height, width) {found.size}; video "
                f"{self.video_id} has {shape.num_frames} frames of {shape.size}."
            )
        width = file.object_tokens.shape[1]
        if width != self.token_dim:
            raise UserError(
                f"{path}: its object tokens are {width} wide, tracker.token_dim is "
                f"{self.token_dim}. Choose the tracker that made them."
            )
        if _objects(file) != _objects(first):
            raise UserError(
                f"{path}: overlaps with objects {_objects(file)}, other tracks of the video have "
                f"them with {_objects(first)}."
            )

    def _tracks(self, expression_id: str, files: Sequence[TrackFile], shape: Shape) -> Tracks:
        masklets = tuple(file.masklet for file in files)
        tokens = [np.zeros((0, shape.num_frames, self.token_dim), np.float32)]
        tokens += [file.object_tokens[None] for file in files]
        nowhere = empty_masklet(1, shape.size)[0]
        tracks = Tracks(
            video_id=self.video_id,
            expression_id=expression_id,
            object_tokens=np.concatenate(tokens),
            object_scores=np.full((len(files), shape.num_frames), np.nan, np.float32),
            masklets=masklets,
            prompts=tuple(Prompt(-1, nowhere, -1, self.source) for _ in files),
            size=shape.size,
            labels=_means(files),
            numbers=tuple(file.number for file in files),
        )
        if self.dataset is None or not self.dataset.has_masks:
            return tracks
        truth = self.dataset.ground_truth(self.video_id)
        labels = count_pixels(masklets, truth, shape.num_frames)
        _compare(tracks, labels)
        return dataclasses.replace(tracks, labels=labels)


def _objects(file: TrackFile) -> list[str] | None:
    return None if file.overlaps is None else list(file.overlaps["iou"])


def _means(files: Sequence[TrackFile]) -> MeanOverlaps | None:
    objects = _objects(files[0]) if files else None
    if objects is None:
        return None
    means = (
        np.array([[file.overlaps[name][o] for o in objects] for file in files if file.overlaps])
        for name in OVERLAPS
    )
    shape = (len(files), len(objects))
    return MeanOverlaps(tuple(objects), *(array.reshape(shape) for array in means))


def _compare(tracks: Tracks, labels: Labels) -> None:
    """Warns where the files' own IoU is not what the ground truth gives."""
    stored = tracks.labels
    if not isinstance(stored, MeanOverlaps):
        return
    counted = mean_iou(labels, "count")
    for column, object_id in enumerate(stored.object_ids):
        if object_id not in labels.object_ids:
            continue
        other = counted[:, labels.object_ids.index(object_id)]
        difference = np.abs(stored.iou[:, column] - other).max(initial=0.0)
        if difference > IOU_TOLERANCE:
            log.warning(
                "video %s, object %s: IoU in the files and by the ground truth differ by up to "
                "%.2f; the ground truth's is taken. Are these the files' own annotations?",
                tracks.video_id,
                object_id,
                difference,
            )


def _entries(split_dir: Path, source: str, dataset: Split | None) -> dict[str, list[str]]:
    """Video id -> ids of its expressions; [""] where tracks belong to the video."""
    found = _found_entries(split_dir, source)
    if dataset is None:
        return found
    expressions: dict[str, list[str]] = {video_id: [] for video_id in dataset.videos}
    for expression in dataset.expressions:
        expressions[expression.video_id].append(expression.expression_id)
    where = f"{dataset.split} of {dataset.name}"
    _refuse(split_dir, found.keys() - expressions.keys(), f"holds videos that {where} lacks")
    _refuse(split_dir, expressions.keys() - found.keys(), f"lacks videos of {where}")
    if source != "gdino":
        return {video_id: [""] for video_id in expressions}
    for video_id, ids in found.items():
        folder = split_dir / MASKLETS_DIR / video_id
        surplus = set(ids) - set(expressions[video_id])
        _refuse(folder, surplus, f"holds expressions that {where} lacks")
    return expressions  # one without a folder has no tracks


def _found_entries(split_dir: Path, source: str) -> dict[str, list[str]]:
    if not (split_dir / MASKLETS_DIR).is_dir():
        raise UserError(
            f"{split_dir / MASKLETS_DIR}: not found. Needed is a tree of the published code: "
            f"{source}_tracks/<dataset>/<split>/{MASKLETS_DIR}/<video>/00000.json."
        )
    entries: dict[str, set[str]] = {}
    for folder in (split_dir / MASKLETS_DIR, split_dir / TOKENS_DIR):
        for video_dir in folder.glob("*/"):
            ids = {path.name for path in video_dir.glob("*/")}
            has_tracks = any(video_dir.glob("*.json")) or any(video_dir.glob("*.npy"))
            if (has_tracks and source == "gdino") or (ids and source != "gdino"):
                raise UserError(
                    f"{video_dir}: tracks of source gdino lie in a folder of their expression, "
                    f"those of gt and grid do not; this import is of {source}."
                )
            entries.setdefault(video_dir.name, set()).update(ids if source == "gdino" else {""})
    return {video_id: sorted(entries[video_id]) for video_id in sorted(entries)}


def _check_lengths_are_known(split_dir: Path, video_ids: Iterable[str]) -> None:
    """Without the data set, a video needs a track that tells its length."""
    for video_id in video_ids:
        folder = split_dir / MASKLETS_DIR / video_id
        if not any(folder.rglob("*.json")):
            raise UserError(
                f"{folder}: no tracks, and nothing that says how many frames the video has. Import "
                "it beside the data set."
            )


def _refuse(path: Path, names: set[str], problem: str) -> None:
    if names:
        raise UserError(
            f"{path}: {problem}: {len(names)}, such as {min(names)}. Check dataset and split, or "
            "get the whole tree (a video without tracks is an empty folder)."
        )
