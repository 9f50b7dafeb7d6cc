"""Reads tracks from shards."""

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from sola.shards.entry import entry_name, read_entry, read_labels
from sola.shards.writer import FORMAT_VERSION, INDEX_FILE
from sola.types import Labels, MeanOverlaps, Tracks

FOLDERS = ("tracker", "prompt_source", "split", "dataset")
"""What names the folder of some tracks, the one above it, and so on."""


class ShardReader:
    """The finished tracks of one (dataset, split, prompt source, tracker).

    Files are opened when they are first read and stay open; a reader may be pickled to another
    process, which opens its own.
    """

    def __init__(self, tracks_dir: Path) -> None:
        """Read the index.

        Raises:
            ValueError: if there are no finished tracks, or they have another format version.
        """
        self.tracks_dir = tracks_dir
        self.index: dict[str, Any] = _read_index(tracks_dir / INDEX_FILE)
        self._files: dict[str, h5py.File] = {}

    @property
    def source(self) -> str:
        """Prompt source of the tracks: gt, grid or gdino."""
        return str(self.index["source"])

    @property
    def is_by_expression(self) -> bool:
        """Whether an entry holds the tracks of one expression, not those of a whole video."""
        return self.source == "gdino"

    @property
    def videos(self) -> tuple[str, ...]:
        """Ids of the videos that have entries, in the order of the index."""
        return tuple(dict.fromkeys(name.split("/")[0] for name in self.index["entries"]))

    def read(self, video_id: str, expression_id: str = "") -> Tracks:
        """All arrays of one entry.

        Raises:
            ValueError: if the index does not list the entry.
        """
        group = self._group(video_id, expression_id)
        return read_entry(group, video_id, expression_id, self.source)

    def read_tokens(self, video_id: str, expression_id: str = "") -> np.ndarray:
        """Object tokens of one entry alone: (N, T, D) float32."""
        tokens: np.ndarray = self._group(video_id, expression_id)["object_tokens"][()]
        return tokens

    def read_labels(self, video_id: str, expression_id: str = "") -> Labels | MeanOverlaps | None:
        """Overlaps with ground truth of one entry alone; None where it has none."""
        return read_labels(self._group(video_id, expression_id))

    def num_tracks(self, video_id: str, expression_id: str = "") -> int:
        """N of one entry, from the index.

        Raises:
            ValueError: if the index does not list the entry.
        """
        return int(self._entry(entry_name(video_id, expression_id))["num_tracks"])

    def _group(self, video_id: str, expression_id: str) -> h5py.Group:
        name = entry_name(video_id, expression_id)
        return self._file(self._entry(name)["shard"])[name]

    def _entry(self, name: str) -> dict[str, Any]:
        entry: dict[str, Any] | None = self.index["entries"].get(name)
        if entry is None:
            raise ValueError(
                f"{self.tracks_dir / INDEX_FILE}: no tracks of {name}. The data set has changed "
                f"since they were made: delete the folder and run generate.py again."
            )
        return entry

    def _file(self, name: str) -> h5py.File:
        if name not in self._files:
            self._files[name] = h5py.File(self.tracks_dir / name, "r")
        return self._files[name]

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_files": {}}


def _read_index(path: Path) -> dict[str, Any]:
    if not path.is_file():
        named = zip(FOLDERS, path.absolute().parents, strict=False)
        choice = " ".join(reversed([f"{key}={folder.name}" for key, folder in named]))
        raise ValueError(
            f"{path.parent}: no finished tracks. Make them with: python generate.py {choice} "
            "(a run that was cut off goes on where it was)."
        )
    index: dict[str, Any] = json.loads(path.read_text())
    found = index.get("format_version")
    if found != FORMAT_VERSION:
        raise ValueError(
            f"{path}: shard format {found}, this code reads {FORMAT_VERSION}. "
            f"Delete the folder and run generate.py again."
        )
    return index
