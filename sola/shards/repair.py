"""Finds what is damaged in finished tracks, and makes them unfinished ones without it."""

import logging
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py

from sola.config.progress import progress
from sola.errors import UserError
from sola.files import whole_hdf5, write_json
from sola.masks import check_codes
from sola.shards.reader import ShardReader
from sola.shards.writer import (
    FORMAT_VERSION,
    INDEX_FILE,
    RUN_FILE,
    STAGING_DIR,
    UNSEALED_VERSION,
)

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Found:
    """What a look at every entry of a folder says."""

    sound: tuple[str, ...]
    """Names of entries."""
    damaged: dict[str, str]
    """Name -> the shard, and why."""
    has_checksums: bool
    """Without them, only what cannot be read is found."""
    index_fault: str
    """Why index.json is not believed; "" if it is. The shards then say what is there."""

    @property
    def needs_repair(self) -> bool:
        """Whether anything is damaged."""
        return bool(self.damaged or self.index_fault)


def check_tracks(folder: Path) -> Found:
    """Read all finished tracks of a folder.

    Raises:
        ValueError: if there are none, or neither their index nor a shard says what they are.
    """
    reader = ShardReader(folder, may_be_damaged=True)
    entries = reader.index["entries"]
    damaged: dict[str, str] = {}
    with progress("checking", len(entries)) as advance:
        for name, entry in entries.items():
            try:
                _read(reader, name)
            except UserError as error:
                damaged[name] = f"{folder / entry['shard']}: {getattr(error, 'reason', error)}"
            advance("")
    sound = tuple(name for name in entries if name not in damaged)
    has_checksums = reader.index["format_version"] != UNSEALED_VERSION
    return Found(sound, damaged, has_checksums, reader.index_fault)


def unfinish(folder: Path, found: Found) -> None:
    """Put the sound entries back to where generate.py goes on from; the others are gone then.

    Until all of them are there, the folder stays as it is; a call that is cut off is repeated. It
    takes as much room again as the sound entries have.

    Args:
        folder: of finished tracks.
        found: in it, just now.
    """
    index: dict[str, Any] = ShardReader(folder, may_be_damaged=True).index
    entries = index.pop("entries")
    staging_dir = folder / STAGING_DIR
    shutil.rmtree(staging_dir, ignore_errors=True)  # of a call that was cut off
    with progress("staging", len(found.sound)) as advance:
        for name in found.sound:
            path = staging_dir / f"{name}.h5"
            with (
                h5py.File(folder / entries[name]["shard"], "r") as shard,
                whole_hdf5(path) as staged,
            ):
                _copy(shard[name], staged)
            advance("")
    write_json(staging_dir / RUN_FILE, index | {"format_version": FORMAT_VERSION})
    (folder / INDEX_FILE).unlink()
    for shard_name in {entry["shard"] for entry in entries.values()}:
        (folder / shard_name).unlink(missing_ok=True)


def _read(reader: ShardReader, name: str) -> None:
    """Raise UserError if an entry is damaged."""
    video_id, _, expression_id = name.partition("/")
    reader.check(video_id, expression_id)
    if reader.index["format_version"] == UNSEALED_VERSION:
        tracks = reader.read(video_id, expression_id)
        for masklet in tracks.masklets:
            check_codes(masklet, tracks.size)


def _copy(group: h5py.Group, file: h5py.File) -> None:
    for key, value in group.attrs.items():
        file.attrs[key] = value
    for key in group:
        group.copy(key, file)
