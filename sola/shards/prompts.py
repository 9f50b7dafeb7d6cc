"""Prompts on disk: what was found in each video, before caps and thresholds.

Tracks can be made again by another rule without looking for prompts again. One file a video; it is
there whole or not at all.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from sola.files import is_there, open_hdf5, whole_hdf5, write_json
from sola.sealed import SealedGroup, as_texts, open_group, seal
from sola.shards.entry import read_prompts, read_size, write_prompts
from sola.types import FoundPrompts

PROMPTS_VERSION = 2
DESCRIPTION_FILE = "description.json"


class PromptStore:
    """The found prompts of one (data set, split, prompt source), of one way to find them."""

    def __init__(self, folder: Path, description: dict[str, Any]) -> None:
        """Name the store; nothing is written yet.

        Args:
            folder: see ``sola.shards.prompts_dir``.
            description: what the prompts depend on, which is kept beside them.
        """
        self.folder, self.description = folder, description

    def read(
        self,
        video_id: str,
        size: tuple[int, int],
        frames: tuple[int, ...],
        texts: tuple[str, ...],
        box_threshold: float,
    ) -> FoundPrompts | None:
        """What was found on some frames for some texts; None where this was not looked for.

        Args:
            video_id: the video.
            size: (H, W) of its frames; of another size, they are others than were looked at.
            frames: the prompts of these alone.
            texts: likewise.
            box_threshold: nothing above it may have been left out.
        """
        path = self._path(video_id)
        if not is_there(path):
            return None
        remedy = "Move it away: its prompts are then searched again."
        with open_hdf5(path, remedy) as file:
            found = _read(open_group(file, "", video_id), self.description["source"])
        is_covered = set(frames) <= set(found.frames) and set(texts) <= set(found.by_text)
        if found.size != size or not is_covered or found.box_threshold > box_threshold:
            return None
        of_frames = {
            text: tuple(prompt for prompt in found.by_text[text] if prompt.frame_idx in frames)
            for text in texts
        }
        return replace(found, frames=frames, by_text=of_frames)

    def write(self, video_id: str, found: FoundPrompts) -> None:
        """Keep the prompts of a video, in place of those that are there."""
        with whole_hdf5(self._path(video_id)) as file:
            _write(file, found)
            seal(file, video_id)
        if not is_there(self.folder / DESCRIPTION_FILE):
            write_json(self.folder / DESCRIPTION_FILE, self.description)

    def _path(self, video_id: str) -> Path:
        return self.folder / f"{video_id}.h5"


def _write(file: h5py.File, found: FoundPrompts) -> None:
    file.attrs["size"] = np.array(found.size, np.int64)
    file.attrs["box_threshold"] = found.box_threshold
    file["frames"] = np.array(found.frames, np.int32)
    for number, (text, prompts) in enumerate(found.by_text.items()):
        group = file.create_group(f"{number:05d}")
        group.attrs["text"] = as_texts([text])[0]
        write_prompts(group, prompts)


def _read(file: SealedGroup, source: str) -> FoundPrompts:
    size = read_size(file)
    groups = [file.within(name) for name in file.groups()]
    return FoundPrompts(
        size=size,
        frames=tuple(file.read("frames").tolist()),
        box_threshold=float(file.attribute("box_threshold")),
        by_text={
            str(group.attribute("text")[0]): read_prompts(group, size, source) for group in groups
        },
    )
