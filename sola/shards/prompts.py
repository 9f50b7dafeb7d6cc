"""Cache of the prompts found in each video, before caps and thresholds.

Tracks can be made with another rule without searching for prompts again.
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
"""Name of a file's array: JSON of ``FoundPrompts``."""


def short_digest(description: dict[str, Any]) -> str:
    """Return the first 12 hexadecimal digits of a description's SHA-256."""
    return hashlib.sha256(json.dumps(description, sort_keys=True).encode()).hexdigest()[:12]


class PromptStore:
    """Prompts found in a split with one set of settings; one file per video, written atomically."""

    def __init__(self, data_dir: Path, description: dict[str, Any]) -> None:
        """Choose the folder of the store; nothing is written yet.

        Args:
            data_dir: folder that holds ``prompts/``.
            description: ``dataset``, ``split``, ``source`` and all other settings that decide the
                prompts; stored beside them.
        """
        names = (description[key] for key in ("dataset", "split", "source"))
        self.folder = data_dir.joinpath("prompts", *names, short_digest(description))
        self.description = description

    def read(self, video_id: str, wanted: FoundPrompts) -> FoundPrompts | None:
        """Return the prompts on some frames for some texts; None if any were not searched.

        Args:
            video_id: the video.
            wanted: frames, texts, size and threshold to look up; its prompts are ignored. The
                stored search must have the same size, and a threshold that is not higher.
        """
        path = self._path(video_id)
        if not is_there(path):
            return None
        with open_hdf5(path, "Move it away: its prompts are then searched again.") as file:
            found = from_json(read_array(open_group(file, "", video_id), FOUND))
        frames, by_text = set(wanted.frames), found["by_text"]
        is_covered = frames <= set(found["frames"]) and wanted.by_text.keys() <= by_text.keys()
        is_same = tuple(found["size"]) == wanted.size
        if not (is_covered and is_same and found["box_threshold"] <= wanted.box_threshold):
            return None
        prompts = {
            text: tuple(to_prompt(each) for each in by_text[text] if each["frame_idx"] in frames)
            for text in wanted.by_text
        }
        return FoundPrompts(wanted.size, wanted.frames, found["box_threshold"], prompts)

    def write(self, video_id: str, found: FoundPrompts) -> None:
        """Store the prompts of a video, replacing earlier ones."""
        with whole_hdf5(self._path(video_id)) as file:
            write_array(file, FOUND, to_json(asdict(found)))
            seal(file, video_id)
        if not is_there(self.folder / DESCRIPTION_FILE):
            write_json(self.folder / DESCRIPTION_FILE, self.description)

    def _path(self, video_id: str) -> Path:
        return self.folder / f"{video_id}.h5"
