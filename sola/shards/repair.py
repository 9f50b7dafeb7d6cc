"""Check finished tracks for damage: ``sola check tracks <folder>``.

--repair moves damaged files into the folder damaged/ and deletes nothing. The command that made the
tracks then makes only the damaged entries again. If a file cannot be read (permissions, a disk that
is not mounted, too many open files), nothing is changed.
"""

import argparse
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sola.config.console import progress
from sola.config.program import run_program
from sola.errors import DamagedFile, FileRefused, UserError
from sola.files import find_files, is_there, unsafe_name, write_json
from sola.sealed import array_paths, open_hdf5, whole_hdf5
from sola.shards.reader import ShardReader, read_index
from sola.shards.writer import DESCRIPTION, INDEX_FILE, RUN_FILE, STAGING_DIR

DAMAGED_DIR = "damaged"
"""Folder beside the shards for files that are moved aside."""


@dataclass
class Found:
    """Result of reading every entry of a folder."""

    index: dict[str, Any] = field(default_factory=dict)
    """The index, from index.json or, if that is damaged, from the shards."""
    sound: list[str] = field(default_factory=list)
    """Names of undamaged entries."""
    errors: list[tuple[Path, UserError]] = field(default_factory=list)
    """(file, error) of every problem."""

    @property
    def damaged(self) -> list[Path]:
        """Files with wrong content."""
        found = (path for path, error in self.errors if isinstance(error, DamagedFile))
        return list(dict.fromkeys(found))

    @property
    def is_known(self) -> bool:
        """Whether every existing file could be read; a missing shard counts as read."""
        refused = (path for path, error in self.errors if isinstance(error, FileRefused))
        return not any(map(os.path.lexists, refused))


def main(arguments: Sequence[str]) -> None:
    """Run the command, and end the process."""
    parser = argparse.ArgumentParser(prog="sola check tracks", description=__doc__)
    places = "data/tracks/<dataset>/<split>/<source>/<tracker>"
    parser.add_argument("folder", type=Path, help=places)
    parser.add_argument("--repair", action="store_true")
    options = parser.parse_args(arguments)
    run_program(lambda: _check(options.folder, is_repair=options.repair))


def _check(folder: Path, *, is_repair: bool) -> int:
    """Check, and repair if requested; return 1 if a problem remains, else 0."""
    found = check_tracks(folder)
    lines = list(dict.fromkeys(str(error) for _, error in found.errors))
    has_errors, is_repaired = bool(lines), is_repair and found.is_known and bool(lines)
    lines += [f"{folder}: {len(found.sound)} of {len(found.index['entries'])} entries are sound"]
    if is_repaired:
        lines += [f"moved to {path}" for path in unfinish(folder, found)]
        lines += ["All sound entries are kept. Run generate.py as before to make the others."]
    elif not found.is_known:
        lines += ["Nothing was changed: a file that cannot be read may be sound."]
    elif has_errors:
        lines += [f"sola check tracks {folder} --repair moves the damage aside."]
    sys.stdout.write("\n".join([*lines, ""]))
    return int(has_errors and not is_repaired)


def check_tracks(folder: Path) -> Found:
    """Read all finished tracks of a folder.

    Raises:
        UserError: if there are no finished tracks, or neither the index nor a shard can be read.
    """
    found = Found()
    try:
        found.index = read_index(folder)
    except DamagedFile as error:
        found.errors.append((folder / INDEX_FILE, error))
        _recover_index(folder, found)
    reader = ShardReader(folder, index=found.index)
    entries = found.index["entries"]
    with progress("checking", len(entries)) as advance:
        for name, entry in entries.items():
            try:
                reader.check(*name.split("/"))
                found.sound.append(name)
            except UserError as error:
                found.errors.append((folder / entry["shard"], error))
            advance("")
    return found


def unfinish(folder: Path, found: Found) -> list[Path]:
    """Stage the sound entries, from which generate.py resumes, and move damaged files aside.

    This takes as much additional disk space as the sound entries. An interrupted call can be
    repeated.

    Args:
        folder: folder of finished tracks.
        found: result of ``check_tracks`` just now; every file could be read.

    Returns:
        New paths of the damaged files, the index and an earlier staging folder.
    """
    assert found.is_known, "an unreadable file may be sound"
    staging_dir = folder / STAGING_DIR
    moved = [_move_aside(staging_dir)] if is_there(staging_dir) else []
    entries = found.index["entries"]
    description = {key: value for key, value in found.index.items() if key != "entries"}
    write_json(staging_dir / RUN_FILE, description)
    with progress("staging", len(found.sound)) as advance:
        for name in found.sound:
            path = folder / entries[name]["shard"]
            with open_hdf5(path, "") as shard, whole_hdf5(staging_dir / f"{name}.h5") as staged:
                shard.copy(name, staged, name)
            advance("")
    # the index first: without it, the staged entries are used
    paths = dict.fromkeys([folder / INDEX_FILE, *found.damaged])
    return moved + [_move_aside(path) for path in paths]


def _recover_index(folder: Path, found: Found) -> None:
    """Rebuild the index from the shards, without the numbers of tracks and frames."""
    entries: dict[str, dict[str, str]] = {}
    for path in find_files(folder, "shard-*.h5"):
        try:
            with open_hdf5(path, "") as shard:
                found.index = json.loads(bytes(shard.attrs[DESCRIPTION]))
                for array in array_paths(shard):
                    name, is_entry, _ = array.rpartition("/object_scores")
                    if is_entry and not any(map(unsafe_name, name.split("/"))):
                        entries[name] = {"shard": path.name}
        except UserError as error:
            found.errors.append((path, error))
    if not found.index:
        for _, refused in found.errors:
            if isinstance(refused, FileRefused):
                raise refused
        raise UserError(
            f"{folder}: index.json is damaged, and no shard can be read in its place. Move the "
            "folder away and run generate.py again."
        )
    found.index["entries"] = entries


def _move_aside(path: Path) -> Path:
    """Move a file or folder into ``DAMAGED_DIR``; nothing there is overwritten."""
    folder = path.parent / DAMAGED_DIR
    folder.mkdir(exist_ok=True)
    target, number = folder / path.name, 1
    while os.path.lexists(target):
        target, number = folder / f"{path.stem}-{number}{path.suffix}", number + 1
    return path.rename(target)
