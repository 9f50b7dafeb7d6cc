"""Tracks and prompts on disk: HDF5 files, as FORMAT.md describes."""

import hashlib
import json
from pathlib import Path
from typing import Any

from sola.shards.prompts import PROMPTS_VERSION, PromptStore
from sola.shards.reader import ShardReader, fingerprint
from sola.shards.writer import FORMAT_VERSION, ShardWriter


def tracks_dir(data_dir: Path, dataset: str, split: str, source: str, tracker: str) -> Path:
    """Folder of the tracks of one (dataset, split, prompt source, tracker)."""
    return data_dir / "tracks" / dataset / split / source / tracker


def prompts_dir(data_dir: Path, description: dict[str, Any]) -> Path:
    """Folder of the prompts that were found in one way.

    Args:
        data_dir: holds ``prompts/``.
        description: has ``dataset``, ``split``, ``source``, and whatever else prompts depend on.
    """
    names = (description["dataset"], description["split"], description["source"])
    return data_dir.joinpath("prompts", *names, short_digest(description))


def short_digest(description: dict[str, Any]) -> str:
    """12 letters that name a description."""
    return hashlib.sha256(json.dumps(description, sort_keys=True).encode()).hexdigest()[:12]


__all__ = [
    "FORMAT_VERSION",
    "PROMPTS_VERSION",
    "PromptStore",
    "ShardReader",
    "ShardWriter",
    "fingerprint",
    "prompts_dir",
    "short_digest",
    "tracks_dir",
]
