"""Reads a split of a data set in the MeViS layout: frames, expressions, ground-truth masklets.

Layout (Ding et al., "MeViS", 2023): ``<root>/<split>/JPEGImages/<video>/<frame>.jpg``,
``meta_expressions.json`` and, where ground truth is public, ``mask_dict.json``.
"""

import hashlib
import json
from functools import cached_property
from pathlib import Path
from typing import Any

from sola.datasets.frames import frame_size
from sola.masks import empty_masklet, resize
from sola.types import Expression, Masklet, RunLength, Video

META_FILE = "meta_expressions.json"
MASKS_FILE = "mask_dict.json"
FRAMES_DIR = "JPEGImages"


class MeViS:
    """One split, read lazily: nothing but the expressions is loaded before it is asked for."""

    def __init__(self, root: Path, split: str, name: str = "mevis") -> None:
        """Read the split's expressions.

        Args:
            root: folder that holds one folder a split.
            split: train, valid_u, valid or another folder of the same layout.
            name: label of the data set, for messages and results.

        Raises:
            ValueError: if the split's meta_expressions.json is missing or unreadable.
        """
        self.name, self.split, self.split_dir = name, split, root / split
        self._meta = _read_videos(self.split_dir / META_FILE)

    @cached_property
    def videos(self) -> dict[str, Video]:
        """Videos by id, in the order of the file; frames sorted by name."""
        return {video_id: self._video(video_id) for video_id in self._meta}

    @cached_property
    def expressions(self) -> list[Expression]:
        """All expressions of the split, in the order of the file."""
        return [
            self._expression(video_id, expression_id, entry)
            for video_id, meta in self._meta.items()
            for expression_id, entry in meta["expressions"].items()
        ]

    @property
    def has_masks(self) -> bool:
        """Whether the split's ground truth is here."""
        return (self.split_dir / MASKS_FILE).is_file()

    @property
    def annotations_sha256(self) -> dict[str, str]:
        """SHA-256 of the files that say what the split holds, by name."""
        paths = [self.split_dir / name for name in (META_FILE, MASKS_FILE)]
        return {path.name: _sha256(path) for path in paths if path.is_file()}

    def ground_truth(self, video_id: str) -> dict[str, Masklet]:
        """Masklets of the video's objects that some expression names, by object id.

        The masks are in the order of the video's frames and of their size: annotations a pixel
        off occur in real data, and are resized. A frame on which the object is absent has an empty
        mask.

        Raises:
            ValueError: if the split has no ground truth, an object has no masks, their number is
                not the video's number of frames, or the first frame cannot be read.
        """
        ids = {
            object_id: None
            for entry in self._meta[video_id]["expressions"].values()
            for object_id in _object_ids(entry) or ()
        }
        if not ids:
            return {}
        size = frame_size(self.videos[video_id].frame_paths[0])
        return {object_id: self._masklet(video_id, object_id, size) for object_id in ids}

    def _video(self, video_id: str) -> Video:
        folder = self.split_dir / FRAMES_DIR / video_id
        frames = sorted(self._meta[video_id]["frames"])
        return Video(video_id, tuple(folder / f"{frame}.jpg" for frame in frames))

    def _expression(self, video_id: str, expression_id: str, entry: dict[str, Any]) -> Expression:
        return Expression(
            video_id=video_id,
            expression_id=expression_id,
            text=entry["exp"],
            object_ids=_object_ids(entry),
            kind=entry.get("kind", ""),
        )

    @cached_property
    def _masks(self) -> dict[str, list[RunLength | None]]:
        path = self.split_dir / MASKS_FILE
        if not path.is_file():
            raise ValueError(
                f"{path}: not found. The split {self.split} of {self.name} has no ground truth "
                f"here; put the file there, or choose a split that has it."
            )
        masks: dict[str, list[RunLength | None]] = _read_json(path)
        return masks

    def _masklet(self, video_id: str, object_id: str, size: tuple[int, int]) -> Masklet:
        path = self.split_dir / MASKS_FILE
        masks = self._masks.get(object_id)
        if masks is None:
            raise ValueError(
                f"{path}: no masks of object {object_id}, which an expression of video {video_id} "
                f"names. Get the file that belongs to {self.split_dir / META_FILE}."
            )
        frames = self._meta[video_id]["frames"]
        if len(masks) != len(frames):
            raise ValueError(
                f"{path}: object {object_id} has {len(masks)} masks, its video {video_id} "
                f"{len(frames)} frames; they must be as many."
            )
        order = sorted(range(len(frames)), key=frames.__getitem__)  # as _video sorts the frames
        empty = empty_masklet(1, size)[0]
        return resize([masks[idx] or empty for idx in order], size)


def _object_ids(entry: dict[str, Any]) -> tuple[str, ...] | None:
    """Objects of an expression; None where the file does not say (a hidden test split)."""
    ids = entry.get("anno_id")
    return None if ids is None else tuple(str(object_id) for object_id in ids)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _read_videos(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise ValueError(
            f"{path}: not found. Needed is a split in the MeViS layout "
            f"(data/README.md shows it); check dataset.root and split."
        )
    content = _read_json(path)
    videos = content.get("videos") if isinstance(content, dict) else None
    if not isinstance(videos, dict):
        raise ValueError(f'{path}: no "videos" found; needed is {{"videos": {{id: ...}}}}.')
    for video_id, meta in videos.items():
        missing = [key for key in ("frames", "expressions") if key not in meta]
        if missing or not meta["frames"]:
            what = ", ".join(missing) or "frames (the list is empty)"
            raise ValueError(f"{path}: video {video_id} lacks {what}. Get the file again.")
    return videos


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text())
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: not readable as JSON ({error}). Get the file again.") from error
