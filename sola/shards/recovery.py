"""What a damaged index.json said, from the shards: each says what its tracks are and holds."""

import json
from pathlib import Path
from typing import Any

import h5py

from sola.errors import UserError
from sola.files import readable_hdf5
from sola.sealed import SEAL

DESCRIPTION = "description"
"""Attribute of a shard: JSON of what index.json says beside the entries. Older ones have none."""


def recover_index(tracks_dir: Path) -> dict[str, Any] | None:
    """The index of the shards that can be opened; None where none of them says what it is.

    Args:
        tracks_dir: of tracks that were finished.
    """
    descriptions: list[dict[str, Any]] = []
    entries: dict[str, dict[str, Any]] = {}
    for path in sorted(tracks_dir.glob("shard-*.h5")):
        try:
            with readable_hdf5(path, ""), h5py.File(path, "r") as shard:
                descriptions.append(json.loads(str(shard.attrs[DESCRIPTION])))
                entries |= {
                    name: {"shard": path.name} | _counts(shard[name]) for name in _names(shard)
                }
        except UserError:
            continue  # its entries are made again
    return descriptions[0] | {"entries": entries} if descriptions else None


def _names(shard: h5py.File) -> list[str]:
    """Of the entries, which have checksums."""
    found: list[str] = []
    shard.visititems(lambda name, item: found.append(name) if SEAL in item.attrs else None)
    return found


def _counts(entry: h5py.Group) -> dict[str, int]:
    num_tracks, num_frames = entry["object_scores"].shape
    return {"num_tracks": int(num_tracks), "num_frames": int(num_frames)}
