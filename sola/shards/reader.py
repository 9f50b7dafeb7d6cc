"""Read tracks from shards."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from sola.errors import UserError
from sola.files import Damage, is_there, readable, unsafe_name
from sola.sealed import open_array, open_group, open_hdf5
from sola.shards import entry as entry_module
from sola.shards.entry import entry_name
from sola.shards.writer import CHECKSUM, FORMAT_VERSION, INDEX_FILE, checksum_of, repair_advice
from sola.types import DetectionEvidence, Labels, Tracks

FOLDERS = ("tracker", "prompt_source", "split", "dataset")
"""Configuration keys of the folders in the path of tracks, innermost first."""
COUNTS = ("num_tracks", "num_frames")
"""Keys of an entry in index.json, besides its shard."""
SHARD_NAME = r"shard-\d{5,}\.h5"


class ShardReader:
    """Reads the finished tracks of one (dataset, split, prompt source, tracker).

    No file stays open, so processes may share a reader. Every array is verified when it is read.
    """

    def __init__(self, tracks_dir: Path, *, index: dict[str, Any] | None = None) -> None:
        """Read the index, and check that every shard exists and is not truncated.

        Args:
            tracks_dir: see ``sola.shards.tracks_dir``.
            index: index to use instead of index.json; shards are then only opened when read.

        Raises:
            UserError: if there are no finished tracks or they have another format version.
            FileRefused: if the system refuses to read a file.
            DamagedFile: if the content of a file is wrong.
        """
        self.tracks_dir = tracks_dir
        self._remedy = repair_advice(tracks_dir)
        if index is not None:
            self.index = index
            return
        self.index = read_index(tracks_dir)
        for name in {entry["shard"]: None for entry in self.index["entries"].values()}:
            with open_hdf5(tracks_dir / name, self._remedy):
                pass

    @property
    def source(self) -> str:
        """Prompt source of the tracks: gt, grid, gdino, or another."""
        return str(self.index["source"])

    @property
    def is_by_expression(self) -> bool:
        """Whether entries hold the tracks of one expression, not of a whole video."""
        return "/" in next(iter(self.index["entries"]), "")

    @property
    def videos(self) -> tuple[str, ...]:
        """Ids of the videos that have entries, in the order of the index."""
        return tuple(dict.fromkeys(name.split("/")[0] for name in self.index["entries"]))

    def read(self, video_id: str, expression_id: str = "") -> Tracks:
        """Return all arrays of one entry.

        Raises:
            UserError: if the index does not list the entry, or the entry is damaged.
        """
        with self._group(video_id, expression_id) as group:
            return entry_module.read_entry(group, video_id, expression_id)

    def read_tokens(self, video_id: str, expression_id: str = "") -> np.ndarray:
        """Return only the object tokens of one entry: (N, T, D) float32; see ``read``."""
        with self._group(video_id, expression_id) as group:
            return entry_module.read_tokens(group)

    def read_labels(self, video_id: str, expression_id: str = "") -> Labels | None:
        """Return only the overlaps with ground truth, None if there are none; see ``read``."""
        with self._group(video_id, expression_id) as group:
            return entry_module.read_labels(group)

    def read_evidence(self, video_id: str, expression_id: str = "") -> DetectionEvidence | None:
        """Return only the detector's evidence, None if there is none; see ``read``."""
        with self._group(video_id, expression_id) as group:
            return entry_module.read_evidence(group)

    def check(self, video_id: str, expression_id: str = "") -> None:
        """Verify every array of one entry; see ``read``."""
        with self._group(video_id, expression_id) as group:
            entry_module.check_entry(group)

    def num_tracks(self, video_id: str, expression_id: str = "") -> int:
        """Return N of one entry, from the index.

        Raises:
            UserError: if the index does not list the entry.
        """
        return int(self._entry(entry_name(video_id, expression_id))["num_tracks"])

    def num_frames(self, video_id: str, expression_id: str = "") -> int:
        """Return T of one entry, from the index; see ``num_tracks``."""
        return int(self._entry(entry_name(video_id, expression_id))["num_frames"])

    @contextmanager
    def _group(self, video_id: str, expression_id: str) -> Iterator[h5py.Group]:
        name = entry_name(video_id, expression_id)
        listed = self._entry(name)
        with open_hdf5(self.tracks_dir / listed["shard"], self._remedy) as file:
            group = open_group(file, name, name)
            shape = open_array(group, "object_scores").shape
            if tuple(map(listed.get, COUNTS, shape)) != shape:
                raise Damage(f"{name}: (tracks, frames) are {shape}, {INDEX_FILE} says {listed}")
            yield group

    def _entry(self, name: str) -> dict[str, Any]:
        entry: dict[str, Any] | None = self.index["entries"].get(name)
        if entry is None:
            raise UserError(
                f"{self.tracks_dir / INDEX_FILE}: no tracks of {name}. The data set has changed "
                f"since they were made: move the folder away and run generate.py again."
            )
        return entry


def read_index(tracks_dir: Path) -> dict[str, Any]:
    """Return index.json of finished tracks, without its checksum.

    Raises:
        UserError: if index.json is missing, or has another format version.
        FileRefused: if the system refuses to read it.
        DamagedFile: if its content is wrong.
    """
    path = tracks_dir / INDEX_FILE
    if not is_there(path):
        named = zip(FOLDERS, path.absolute().parents, strict=False)
        choice = " ".join(reversed([f"{key}={folder.name}" for key, folder in named]))
        raise UserError(
            f"{tracks_dir}: no finished tracks. Make them with: python generate.py {choice} "
            "(an interrupted run resumes)."
        )
    with readable(path, repair_advice(tracks_dir)):
        index: dict[str, Any] = json.loads(path.read_bytes().decode())
        if not isinstance(index, dict) or index.pop(CHECKSUM, None) != checksum_of(index):
            raise Damage("its checksum does not match")
        if index["format_version"] != FORMAT_VERSION:
            raise UserError(
                f"{path}: shard format {index['format_version']}, this code reads "
                f"{FORMAT_VERSION}. Move the folder away and run generate.py again."
            )
        for name, entry in index["entries"].items():
            for reason in filter(None, map(unsafe_name, name.split("/", 1))):
                raise Damage(f"the name {name!r} {reason}")
            if not re.fullmatch(SHARD_NAME, str(entry["shard"])):
                raise Damage(f"entry {name} lies in {entry['shard']!r}, which is no shard")
    return index
