"""Write tracks: one staged file per entry, packed into shards when all videos are done.

Files are never appended to, because HDF5 does not survive a kill during a write. They are written
atomically, and index.json last. Damaged staged files are made again.
"""

import itertools
import json
import logging
import shutil
import zlib
from collections.abc import Sequence
from operator import itemgetter
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from sola.config.console import progress
from sola.errors import DamagedFile, FileRefused, UserError
from sola.files import find_files, is_there, read_json, write_json
from sola.sealed import open_group, open_hdf5, whole_hdf5
from sola.shards.entry import FULL_DTYPE, check_entry, entry_name, write_entry
from sola.types import Tracks

log = logging.getLogger(__name__)

FORMAT_VERSION = 5
INDEX_FILE = "index.json"
CHECKSUM = "crc32"
"""Key of index.json: checksum of the rest of the file."""
DESCRIPTION = "description"
"""Attribute of a shard: JSON of index.json without its entries."""
STAGING_DIR = "staging"
RUN_FILE = "run.json"
MAX_SHARD_BYTES = 1 << 28
"""Size of a shard, exceeded at most by its last entry; shards are packed in memory."""


class ShardWriter:
    """Collects the tracks of one (dataset, split, prompt source, tracker)."""

    def __init__(self, tracks_dir: Path, description: dict[str, Any]) -> None:
        """Check the content of the folder; nothing is written yet.

        Args:
            tracks_dir: final folder; see ``sola.shards.tracks_dir``.
            description: content of index.json besides the entries. ``token_dtype`` (float16 or
                float32, the default) is the data type of object tokens on disk.

        Raises:
            UserError: if the folder holds tracks, finished or not, of another description.
        """
        self.tracks_dir, self.staging_dir = tracks_dir, tracks_dir / STAGING_DIR
        # through JSON, so that it compares equal to what is read back
        self.description = json.loads(
            json.dumps({"format_version": FORMAT_VERSION, "token_dtype": FULL_DTYPE, **description})
        )
        self._sound: dict[str, tuple[int, int]] = {}
        """(modification time in ns, number of tracks) of each staged entry that was verified."""
        self.refuse_others()

    @property
    def is_finished(self) -> bool:
        """Whether index.json exists."""
        return is_there(self.tracks_dir / INDEX_FILE)

    def start(self) -> None:
        """Create the staging folder, and record the description of this run.

        Raises:
            UserError: if another run has staged tracks of another description in the meantime.
        """
        self.refuse_others()
        write_json(self.staging_dir / RUN_FILE, self.description)

    def has(self, video_id: str, expression_id: str = "") -> bool:
        """Return whether an undamaged entry is staged; log a warning if it is damaged.

        Raises:
            FileRefused: if the system refuses to read the file.
        """
        name = entry_name(video_id, expression_id)
        path = self._staged_path(name)
        if not is_there(path):
            return False
        try:
            with open_hdf5(path, "It is made again.") as file:
                modified = path.stat().st_mtime_ns
                if self._sound.get(name, (0, 0))[0] != modified:
                    num_tracks, _ = check_entry(open_group(file, name, name))
                    self._sound[name] = modified, num_tracks
        except DamagedFile as error:
            log.warning("%s", error)
            return False
        except FileRefused:
            if is_there(path):
                raise
            return False  # another process has finished the tracks
        return True

    def stage(self, tracks: Tracks) -> int:
        """Write one entry atomically; return its size on disk in bytes."""
        path = self._staged_path(entry_name(tracks.video_id, tracks.expression_id))
        with whole_hdf5(path) as file:
            write_entry(file, tracks, self.description["token_dtype"])
        return path.stat().st_size

    def has_tracks(self, entries: Sequence[tuple[str, str]]) -> bool:
        """Return whether at least one of these staged entries holds a track."""
        return any(self._sound[entry_name(*entry)][1] for entry in entries if self.has(*entry))

    def finish(self, entries: Sequence[tuple[str, str]]) -> None:
        """Pack the staged entries into shards, write the index, delete the staged files.

        Args:
            entries: (video id, expression id or "") of every entry, in the order to pack them.
        """
        packed: dict[str, dict[str, Any]] = {}
        with progress("packing", len(entries)) as advance:
            for number, names in enumerate(self._split_by_size([entry_name(*e) for e in entries])):
                file_name = f"shard-{number:05d}.h5"
                with whole_hdf5(self.tracks_dir / file_name) as shard:
                    shard.attrs[DESCRIPTION] = np.bytes_(json.dumps(self.description))
                    for name in names:
                        num_tracks, num_frames = self._pack(name, shard)
                        counts = {"num_tracks": num_tracks, "num_frames": num_frames}
                        packed[name] = {"shard": file_name, **counts}
                        advance()
        index = self.description | {"entries": packed}
        write_json(self.tracks_dir / INDEX_FILE, {CHECKSUM: checksum_of(index)} | index)
        self.discard_staging()

    def discard_staging(self) -> None:
        """Delete the staging folder."""
        shutil.rmtree(self.staging_dir, ignore_errors=True)  # another process may delete it too

    def refuse_others(self) -> None:
        """Check that tracks in the folder have the same description.

        Raises:
            UserError: if the folder holds tracks, finished or not, of another description.
        """
        paths = [self.tracks_dir / INDEX_FILE]
        if find_files(self.staging_dir, "*.h5"):
            paths.append(self.staging_dir / RUN_FILE)
        for path in filter(is_there, paths):
            found = read_json(path, repair_advice(self.tracks_dir))
            if difference := first_difference(found, self.description):
                raise UserError(
                    f"{path}: these tracks were made with {difference}. They are kept: choose "
                    f"another place (tracker.name or data_root), or move {self.tracks_dir} away."
                )

    def _staged_path(self, name: str) -> Path:
        return self.staging_dir / f"{name}.h5"

    def _split_by_size(self, names: Sequence[str]) -> list[list[str]]:
        sizes = (self._staged_path(name).stat().st_size for name in names)
        starts = itertools.accumulate(sizes, initial=0)
        numbered = zip((start // MAX_SHARD_BYTES for start in starts), names, strict=False)
        groups = itertools.groupby(numbered, key=itemgetter(0))
        return [[name for _, name in group] for _, group in groups]

    def _pack(self, name: str, shard: h5py.File) -> tuple[int, int]:
        """Copy a staged entry into a shard; return its (N, T)."""
        remedy = "Run the same command again, which makes it again."
        with open_hdf5(self._staged_path(name), remedy) as staged:
            staged.copy(name, shard, name)
            return check_entry(open_group(shard, name, name))


def checksum_of(index: dict[str, Any]) -> str:
    """Return the CRC-32 of index.json without its checksum, 8 hexadecimal digits."""
    content = {key: value for key, value in index.items() if key != CHECKSUM}
    return f"{zlib.crc32(json.dumps(content, sort_keys=True).encode()):08x}"


def repair_advice(tracks_dir: Path) -> str:
    """Return the advice that ends messages about damaged tracks."""
    return f"Run sola check tracks {tracks_dir} --repair, and then generate.py as before."


def first_difference(found: dict[str, Any], wanted: dict[str, Any], prefix: str = "") -> str:
    """Return "key=found, this run requests wanted" for the first value that differs, or ""."""
    for key, value in wanted.items():
        other = found.get(key)
        if isinstance(value, dict) and isinstance(other, dict):
            difference = first_difference(other, value, f"{prefix}{key}.")
            if difference:
                return difference
        elif other != value:
            return f"{prefix}{key}={other}, this run requests {value}"
    return ""
