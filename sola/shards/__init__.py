"""Tracks and prompts on disk, in HDF5 files described in FORMAT.md."""

from pathlib import Path

from sola.shards.prompts import PROMPTS_VERSION, PromptStore, short_digest
from sola.shards.reader import ShardReader
from sola.shards.writer import FORMAT_VERSION, ShardWriter


def tracks_dir(data_dir: Path, dataset: str, split: str, source: str, tracker: str) -> Path:
    """Return the folder of the tracks of one (dataset, split, prompt source, tracker)."""
    return data_dir / "tracks" / dataset / split / source / tracker


__all__ = ["FORMAT_VERSION", "PROMPTS_VERSION", "PromptStore", "ShardReader", "ShardWriter"]
__all__ += ["short_digest", "tracks_dir"]
