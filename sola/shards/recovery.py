"""Rebuild a damaged index.json from the shards, which say what their tracks are and hold."""

import json
from pathlib import Path
from typing import Any

import h5py

from sola.errors import FileRefused, UserError
from sola.files import find_files, open_hdf5
from sola.sealed import SEAL

DESCRIPTION = "description"
"""Attribute of a shard: JSON of what index.json says beside the entries."""


def recover_index(tracks_dir: Path) -> tuple[dict[str, Any], dict[Path, UserError]]:
    """Return the index, without numbers of tracks and frames, and what is wrong with shards.

    Raises:
        UserError: if no shard says what the tracks are.
    """
    description: dict[str, Any] | None = None
    entries: dict[str, dict[str, str]] = {}
    errors: dict[Path, UserError] = {}
    for path in find_files(tracks_dir, "shard-*.h5"):

        def note(name: str, item: h5py.Group | h5py.Dataset, shard: str = path.name) -> None:
            if SEAL in item.attrs:
                entries[name] = {"shard": shard}

        try:
            with open_hdf5(path, "") as shard:
                description = json.loads(str(shard.attrs[DESCRIPTION]))
                shard.visititems(note)
        except UserError as error:
            errors[path] = error
    if description is not None:
        return description | {"entries": entries}, errors
    raise next(
        (error for error in errors.values() if isinstance(error, FileRefused)),
        UserError(
            f"{tracks_dir}: index.json is damaged, and no shard can be read in its place. Move the "
            "folder away and run generate.py again."
        ),
    )
