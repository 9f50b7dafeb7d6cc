"""Find damage in finished tracks, and make them unfinished ones without it.

Nothing is deleted: damaged files are moved aside. Nothing is changed while a file cannot be read.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py

from sola.config.progress import progress
from sola.errors import DamagedFile, FileRefused, UserError
from sola.files import is_there, open_hdf5, read_json, whole_hdf5, write_json
from sola.shards.reader import ShardReader, read_index
from sola.shards.recovery import recover_index
from sola.shards.writer import INDEX_FILE, RUN_FILE, STAGING_DIR

DAMAGED_DIR = "damaged"
"""Folder beside the shards that takes what is moved aside."""


@dataclass(frozen=True)
class Found:
    """Result of reading every entry of a folder."""

    index: dict[str, Any]
    """Of index.json or, where that is damaged, of the shards."""
    sound: tuple[str, ...]
    """Names of entries."""
    damaged: tuple[Path, ...]
    """Files."""
    messages: tuple[str, ...]
    """Everything that is wrong."""
    is_known: bool
    """Whether every file could be read; a shard that is gone counts as known."""


def check_tracks(folder: Path) -> Found:
    """Read all finished tracks of a folder.

    Raises:
        UserError: if there are none, or neither their index nor a shard says what they are.
    """
    errors: list[tuple[Path, UserError]] = []
    sound: list[str] = []
    try:
        index = read_index(folder)
    except DamagedFile as error:
        index, shard_errors = recover_index(folder)
        errors.extend([(folder / INDEX_FILE, error), *shard_errors.items()])
    reader = ShardReader(folder, index=index)
    with progress("checking", len(index["entries"])) as advance:
        for name, entry in index["entries"].items():
            video_id, _, expression_id = name.partition("/")
            try:
                reader.check(video_id, expression_id)
                sound.append(name)
            except UserError as error:
                errors.append((folder / entry["shard"], error))
            advance("")
    refused = {path for path, error in errors if isinstance(error, FileRefused)}
    damaged = (path for path, error in errors if isinstance(error, DamagedFile))
    return Found(
        index,
        tuple(sound),
        tuple(dict.fromkeys(damaged)),
        tuple(dict.fromkeys(str(error) for _, error in errors)),
        is_known=not any(map(os.path.lexists, refused)),
    )


def unfinish(folder: Path, found: Found) -> list[Path]:
    """Stage the sound entries, from which generate.py goes on, and move damaged files aside.

    A call that is cut off is repeated. It takes as much room again as the sound entries have.

    Args:
        folder: of finished tracks.
        found: in it, just now; every file could be read.

    Returns:
        Where the damaged files and the index are now.
    """
    assert found.is_known, "what cannot be read may be sound"
    moved = []
    staging_dir = folder / STAGING_DIR
    description = {key: value for key, value in found.index.items() if key != "entries"}
    if is_there(staging_dir) and not _is_staging_of(staging_dir / RUN_FILE, description):
        moved.append(_move_aside(staging_dir))
    write_json(staging_dir / RUN_FILE, description)
    with progress("staging", len(found.sound)) as advance:
        for name in found.sound:
            shard_path = folder / found.index["entries"][name]["shard"]
            with (
                open_hdf5(shard_path, "") as shard,
                whole_hdf5(staging_dir / f"{name}.h5") as staged,
            ):
                _copy(shard[name], staged)
            advance("")
    # the index first: without it, what is staged counts
    paths = dict.fromkeys([folder / INDEX_FILE, *found.damaged])
    return moved + [_move_aside(path) for path in paths]


def _is_staging_of(run_path: Path, description: dict[str, Any]) -> bool:
    try:
        return is_there(run_path) and bool(read_json(run_path, "") == description)
    except DamagedFile:
        return False


def _move_aside(path: Path) -> Path:
    """Move a file or folder into ``DAMAGED_DIR``; nothing there is overwritten."""
    folder = path.parent / DAMAGED_DIR
    folder.mkdir(exist_ok=True)
    target, number = folder / path.name, 1
    while os.path.lexists(target):
        target, number = folder / f"{path.stem}-{number}{path.suffix}", number + 1
    return path.rename(target)


def _copy(group: h5py.Group, file: h5py.File) -> None:
    for key, value in group.attrs.items():
        file.attrs[key] = value
    for key in group:
        group.copy(key, file)
