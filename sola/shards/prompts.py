"""Prompts on disk: what was found in each video, before caps and thresholds.

Tracks can be made again with another rule without searching for prompts again.
"""

import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from sola.files import is_there, write_json
from sola.sealed import open_group, open_hdf5, read_array, seal, whole_hdf5, write_array
from sola.shards.entry import from_json, to_json, to_prompt
from sola.types import FoundPrompts

PROMPTS_VERSION = 3
DESCRIPTION_FILE = "description.json"
FOUND = "found"
"""Array of a file: JSON of ``FoundPrompts``."""


def short_digest(description: dict[str, Any]) -> str:
    """Return 12 hexadecimal digits that name a description."""
    return hashlib.sha256(json.dumps(description, sort_keys=True).encode()).hexdigest()[:12]


class PromptStore:
    """The prompts found in a split in one way; one file a video, written atomically."""

    def __init__(self, data_dir: Path, description: dict[str, Any]) -> None:
        """Name the store; nothing is written yet.

        Args:
            data_dir: holds ``prompts/``.
            description: ``dataset``, ``split``, ``source``, and whatever else prompts depend on;
                stored beside them.
        """
        names = (description[key] for key in ("dataset", "split", "source"))
        self.folder = data_dir.joinpath("prompts", *names, short_digest(description))
        self.description = description

    def read(
        self,
        video_id: str,
        size: tuple[int, int],
        frames: tuple[int, ...],
        texts: tuple[str, ...],
        box_threshold: float,
    ) -> FoundPrompts | None:
        """Return the prompts on some frames for some texts; None if not all were searched.

        Args:
            video_id: the video.
            size: (H, W) of its frames; prompts found on frames of another size do not count.
            frames: frames to return prompts of.
            texts: texts to return prompts of.
            box_threshold: the search must not have dropped boxes above it.
        """
        path = self._path(video_id)
        if not is_there(path):
            return None
        with open_hdf5(path, "Move it away: its prompts are then searched again.") as file:
            found = from_json(read_array(open_group(file, "", video_id), FOUND))
        is_covered = set(frames) <= set(found["frames"]) and set(texts) <= found["by_text"].keys()
        is_same = tuple(found["size"]) == size and found["box_threshold"] <= box_threshold
        if not (is_covered and is_same):
            return None
        by_text = {
            text: tuple(to_prompt(e) for e in found["by_text"][text] if e["frame_idx"] in frames)
            for text in texts
        }
        return FoundPrompts(size, frames, found["box_threshold"], by_text)

    def write(self, video_id: str, found: FoundPrompts) -> None:
        """Store the prompts of a video, in place of earlier ones."""
        with whole_hdf5(self._path(video_id)) as file:
            write_array(file, FOUND, to_json(asdict(found)))
            seal(file, video_id)
        if not is_there(self.folder / DESCRIPTION_FILE):
            write_json(self.folder / DESCRIPTION_FILE, self.description)

    def _path(self, video_id: str) -> Path:
        return self.folder / f"{video_id}.h5"
