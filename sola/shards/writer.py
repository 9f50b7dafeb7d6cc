"""Writes tracks: one staged file an entry, packed into shards when all videos are done.

HDF5 does not survive a kill in mid-write, so nothing is ever appended to: files are written under
another name and renamed when they are complete, and index.json comes last. A staged file that the
disk has damaged since is made again.
"""

import json
import logging
import shutil
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import h5py

from sola.config.progress import Advance, progress
from sola.errors import DamagedFile, FileRefused, UserError
from sola.files import (
    find_files,
    is_there,
    open_hdf5,
    read_json,
    refusals,
    whole_hdf5,
    write_json,
)
from sola.sealed import open_group
from sola.shards.entry import FULL_DTYPE, check_entry, entry_name, write_entry
from sola.shards.recovery import DESCRIPTION
from sola.types import Tracks

log = logging.getLogger(__name__)

FORMAT_VERSION = 4
INDEX_FILE = "index.json"
CHECKSUM = "crc32"
"""Key of index.json: that of everything else in it."""
STAGING_DIR = "staging"
RUN_FILE = "run.json"
MAX_SHARD_BYTES = 1 << 30


class ShardWriter:
    """Collects the tracks of one (dataset, split, prompt source, tracker)."""

    def __init__(self, tracks_dir: Path, description: dict[str, Any]) -> None:
        """Look at what is in the folder; nothing is written yet.

        Args:
            tracks_dir: final folder; see ``sola.shards.tracks_dir``.
            description: what index.json says beside the entries. A run with another description
                is not continued. ``token_dtype`` (float16, float32; if absent, the latter) is that
                of object tokens on disk.

        Raises:
            UserError: if the folder holds tracks, finished or not, of another description.
        """
        self.tracks_dir, self.staging_dir = tracks_dir, tracks_dir / STAGING_DIR
        # through JSON, so that it compares equal to what is read back
        self.description = json.loads(
            json.dumps({"format_version": FORMAT_VERSION, "token_dtype": FULL_DTYPE, **description})
        )
        self._refuse_other_description()
        self._sound: dict[Path, tuple[int, int]] = {}
        """Staged files that were found sound, and what tells whether they are still the same."""

    @property
    def is_finished(self) -> bool:
        """Whether index.json is there."""
        return is_there(self.tracks_dir / INDEX_FILE)

    def start(self) -> None:
        """Make the folders and write down what this run makes.

        Raises:
            UserError: if another run has put tracks of another description there meanwhile.
        """
        self._refuse_other_description()
        self.staging_dir.mkdir(parents=True, exist_ok=True)
        write_json(self.staging_dir / RUN_FILE, self.description)

    def has(self, video_id: str, expression_id: str = "") -> bool:
        """Return whether a sound entry is staged; log a warning where it is damaged.

        Raises:
            FileRefused: if that is unknown.
        """
        name = entry_name(video_id, expression_id)
        path = self._staged_path(name)
        if not is_there(path):
            return False
        try:
            with refusals(path):
                stat = path.stat()
            state = (stat.st_size, stat.st_mtime_ns)
            if self._sound.get(path) != state:
                with open_hdf5(path, "It is made again.") as file:
                    check_entry(open_group(file, "", name))
                self._sound[path] = state
        except DamagedFile as error:
            log.warning("%s", error)
            return False
        except FileRefused:
            if is_there(path):
                raise
            return False  # another process has finished the tracks
        return True

    def stage(self, tracks: Tracks) -> int:
        """Write one entry; it is there whole or not at all.

        Returns:
            Its size on disk, bytes.
        """
        path = self._staged_path(entry_name(tracks.video_id, tracks.expression_id))
        with whole_hdf5(path) as file:
            write_entry(file, tracks, self.description["token_dtype"])
        return path.stat().st_size

    def has_tracks(self, entries: Sequence[tuple[str, str]]) -> bool:
        """Whether at least one of these staged entries holds a track."""
        return any(self._num_tracks(entry_name(*entry)) for entry in entries)

    def finish(self, entries: Sequence[tuple[str, str]]) -> None:
        """Pack the staged entries into shards, write the index, delete the staged files.

        Args:
            entries: (video id, expression id or "") of every entry, in the order to pack them.
        """
        names = [entry_name(*entry) for entry in entries]
        packed: dict[str, dict[str, Any]] = {}
        with progress("packing", len(names)) as advance:
            for number, group in enumerate(self._split_by_size(names)):
                packed |= self._pack(f"shard-{number:05d}.h5", group, advance)
        index = self.description | {"entries": packed}
        write_json(self.tracks_dir / INDEX_FILE, {CHECKSUM: checksum_of(index)} | index)
        self.discard_staging()

    def discard_staging(self) -> None:
        """Delete what is staged; for finished tracks, of which nothing of it is needed."""
        shutil.rmtree(self.staging_dir, ignore_errors=True)  # another process may delete it too

    def _staged_path(self, name: str) -> Path:
        return self.staging_dir / f"{name}.h5"

    def _num_tracks(self, name: str) -> int:
        with h5py.File(self._staged_path(name), "r") as staged:
            return int(staged["object_scores"].shape[0])

    def _split_by_size(self, names: Sequence[str]) -> list[list[str]]:
        groups: list[list[str]] = []
        size = MAX_SHARD_BYTES
        for name in names:
            num_bytes = self._staged_path(name).stat().st_size
            if size + num_bytes > MAX_SHARD_BYTES:
                groups.append([])
                size = 0
            groups[-1].append(name)
            size += num_bytes
        return groups

    def _pack(
        self, file_name: str, names: Sequence[str], advance: Advance
    ) -> dict[str, dict[str, Any]]:
        entries = {}
        with whole_hdf5(self.tracks_dir / file_name) as shard:
            shard.attrs[DESCRIPTION] = json.dumps(self.description)
            for name in names:
                num_tracks, num_frames = self._copy(name, shard)
                entries[name] = {
                    "shard": file_name,
                    "num_tracks": num_tracks,
                    "num_frames": num_frames,
                }
                advance()
        return entries

    def _copy(self, name: str, shard: h5py.File) -> tuple[int, int]:
        """Puts a staged entry into a shard; (N, T) of it."""
        path = self._staged_path(name)
        with open_hdf5(path, "Run the same command again, which makes it again.") as staged:
            staged.copy(staged["/"], shard, name=name)
            return check_entry(open_group(shard, name, name))

    def _refuse_other_description(self) -> None:
        for path in (self.tracks_dir / INDEX_FILE, self.staging_dir / RUN_FILE):
            if not is_there(path):
                continue
            if path.name == RUN_FILE and not find_files(self.staging_dir, "*.h5"):
                continue  # that run made nothing
            remedy = f"Move {self.tracks_dir} away to make these tracks again."
            if path.name == INDEX_FILE:
                remedy = mend_index(self.tracks_dir)
            difference = first_difference(read_json(path, remedy), self.description)
            if difference:
                raise UserError(
                    f"{path}: these tracks were made with {difference}. They are kept: choose "
                    f"another place (tracker.name or data_root), or move {self.tracks_dir} away."
                )


def checksum_of(index: dict[str, Any]) -> str:
    """CRC-32 of what index.json holds but for the checksum, 8 hexadecimal digits."""
    content = {key: value for key, value in index.items() if key != CHECKSUM}
    return f"{zlib.crc32(json.dumps(content, sort_keys=True).encode()):08x}"


def mend_index(tracks_dir: Path) -> str:
    """What to do about a damaged index."""
    return f"Run python -m sola.shards check {tracks_dir} --repair, and then generate.py as before."


def first_difference(found: dict[str, Any], wanted: dict[str, Any], prefix: str = "") -> str:
    """The first wanted value that differs: "key=found, this run requests wanted"; "" if none."""
    for key, value in wanted.items():
        other = found.get(key)
        if isinstance(value, dict) and isinstance(other, dict):
            difference = first_difference(other, value, f"{prefix}{key}.")
            if difference:
                return difference
        elif other != value:
            return f"{prefix}{key}={other}, this run requests {value}"
    return ""
