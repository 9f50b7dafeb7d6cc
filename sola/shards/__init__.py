"""Tracks on disk: HDF5 shards with an index, as FORMAT.md describes."""

from pathlib import Path

from sola.shards.reader import ShardReader
from sola.shards.writer import FORMAT_VERSION, ShardWriter


def tracks_dir(data_dir: Path, dataset: str, split: str, source: str, tracker: str) -> Path:
    """Folder of the tracks of one (dataset, split, prompt source, tracker)."""
    return data_dir / "tracks" / dataset / split / source / tracker


__all__ = ["FORMAT_VERSION", "ShardReader", "ShardWriter", "tracks_dir"]
