"""Reads tracks from shards."""

import re
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from sola.errors import UserError
from sola.files import Damage, read_json, readable_hdf5, sha256_of_file, unsafe_name
from sola.sealed import SealedGroup, open_group
from sola.shards.entry import (
    check_entry,
    entry_name,
    read_entry,
    read_evidence,
    read_labels,
    read_tokens,
)
from sola.shards.recovery import recover_index
from sola.shards.writer import (
    CHECKSUM,
    FORMAT_VERSION,
    INDEX_FILE,
    UNSEALED_VERSION,
    checksum_of,
    mend_index,
)
from sola.types import DetectionEvidence, Labels, MeanOverlaps, Tracks

FOLDERS = ("tracker", "prompt_source", "split", "dataset")
"""What names the folder of some tracks, the one above it, and so on."""
KEYS = ("source", "token_dim", "entries")
"""What index.json cannot do without."""
COUNTS = ("num_tracks", "num_frames")
"""What it says of an entry, beside its shard."""
SHARD_NAME = r"shard-\d{5,}\.h5"

METADATA_CACHE_BYTES = 1 << 16
"""Kept by HDF5 of each shard."""


class ShardReader:
    """The finished tracks of one (dataset, split, prompt source, tracker).

    Files are opened when they are first read and stay open; a reader may be pickled to another
    process, which opens its own. What is read is compared with its checksums; what is not read is
    not. Shards of version 2 have none.
    """

    def __init__(self, tracks_dir: Path, *, may_be_damaged: bool = False) -> None:
        """Read the index, and make sure that every shard is there and not cut off.

        Args:
            tracks_dir: see ``sola.shards.tracks_dir``.
            may_be_damaged: leave it to reading to find out about shards, and take what a damaged
                index said from them.

        Raises:
            UserError: if there are no finished tracks, they have another format version, or a
                file is missing or damaged.
        """
        self.tracks_dir = tracks_dir
        self.index_fault = ""
        self.index: dict[str, Any] = self._read_index(may_be_damaged)
        self._files: dict[str, h5py.File] = {}
        if may_be_damaged:
            return
        for name in dict.fromkeys(entry["shard"] for entry in self.index["entries"].values()):
            with self._readable(name):
                self._file(name)

    def _read_index(self, may_be_damaged: bool) -> dict[str, Any]:
        path = self.tracks_dir / INDEX_FILE
        try:
            return _read_index(path)
        except UserError as error:
            # without index.json, what is staged counts
            recovered = recover_index(path.parent) if may_be_damaged and path.is_file() else None
            if recovered is None:
                raise
            self.index_fault = str(error)
            return recovered

    @property
    def source(self) -> str:
        """Prompt source of the tracks: gt, grid, gdino, or another."""
        return str(self.index["source"])

    @property
    def is_by_expression(self) -> bool:
        """Whether an entry holds the tracks of one expression, not those of a whole video."""
        return "/" in next(iter(self.index["entries"]), "")

    @property
    def videos(self) -> tuple[str, ...]:
        """Ids of the videos that have entries, in the order of the index."""
        return tuple(dict.fromkeys(name.split("/")[0] for name in self.index["entries"]))

    def read(self, video_id: str, expression_id: str = "") -> Tracks:
        """All arrays of one entry.

        Raises:
            UserError: if the index does not list the entry, or it is not what was written.
        """
        with self._group(video_id, expression_id) as group:
            tracks = read_entry(group, video_id, expression_id, self.source)
            self._check_shape(group.name, tracks.object_tokens)
        return tracks

    def read_tokens(self, video_id: str, expression_id: str = "") -> np.ndarray:
        """Object tokens of one entry alone: (N, T, D) float32; see ``read``."""
        with self._group(video_id, expression_id) as group:
            tokens = read_tokens(group)
            self._check_shape(group.name, tokens)
        return tokens

    def read_labels(self, video_id: str, expression_id: str = "") -> Labels | MeanOverlaps | None:
        """Overlaps with ground truth of one entry alone; None where it has none; see ``read``."""
        with self._group(video_id, expression_id) as group:
            return read_labels(group)

    def read_evidence(self, video_id: str, expression_id: str = "") -> DetectionEvidence | None:
        """Evidence of the detector for one entry only; None where it has none; see ``read``."""
        with self._group(video_id, expression_id) as group:
            return read_evidence(group)

    def check(self, video_id: str, expression_id: str = "") -> None:
        """Read everything of one entry that has a checksum; see ``read``."""
        with self._group(video_id, expression_id) as group:
            check_entry(group)

    def num_tracks(self, video_id: str, expression_id: str = "") -> int:
        """N of one entry, from the index.

        Raises:
            UserError: if the index does not list the entry.
        """
        return int(self._entry(entry_name(video_id, expression_id))["num_tracks"])

    def num_frames(self, video_id: str, expression_id: str = "") -> int:
        """T of one entry, likewise."""
        return int(self._entry(entry_name(video_id, expression_id))["num_frames"])

    @contextmanager
    def _group(self, video_id: str, expression_id: str) -> Iterator[SealedGroup]:
        name = entry_name(video_id, expression_id)
        shard = self._entry(name)["shard"]
        needs_seal = self.index["format_version"] != UNSEALED_VERSION
        with self._readable(shard):
            yield open_group(self._file(shard), name, name, needs_seal=needs_seal)

    def _readable(self, shard: str) -> AbstractContextManager[None]:
        remedy = (
            f"Run python -m sola.shards check {self.tracks_dir} --repair, and then generate.py "
            "as before: it makes what is damaged again, and nothing else."
        )
        return readable_hdf5(self.tracks_dir / shard, remedy)

    def _check_shape(self, name: str, tokens: np.ndarray) -> None:
        entry = self.index["entries"][name]
        listed = tuple(entry[key] for key in COUNTS)
        if tokens.shape[:2] != listed:
            found = tokens.shape[:2]
            raise Damage(f"{name}: (tracks, frames) are {found}, {INDEX_FILE} says {listed}")

    def _entry(self, name: str) -> dict[str, Any]:
        entry: dict[str, Any] | None = self.index["entries"].get(name)
        if entry is None:
            raise UserError(
                f"{self.tracks_dir / INDEX_FILE}: no tracks of {name}. The data set has changed "
                f"since they were made: delete the folder and run generate.py again."
            )
        return entry

    def _file(self, name: str) -> h5py.File:
        if name not in self._files:
            self._files[name] = _open(self.tracks_dir / name)
        return self._files[name]

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_files": {}}


def fingerprint(tracks_dir: Path) -> dict[str, Any]:
    """What changes when finished tracks are made again, in JSON's types; not where they lie."""
    stats = {path.name: path.stat() for path in sorted(tracks_dir.glob("*.h5"))}
    return {
        "index_sha256": sha256_of_file(tracks_dir / INDEX_FILE),
        "shards": {name: [stat.st_size, stat.st_mtime_ns] for name, stat in stats.items()},
    }


def _open(path: Path) -> h5py.File:
    """A shard, of which HDF5 remembers little: by default it keeps what it learnt of every group.

    Arrays are contiguous, so that HDF5 has nothing else to keep.
    """
    file = h5py.File(path, "r")
    cache = file.id.get_mdc_config()
    cache.set_initial_size = True
    cache.initial_size = cache.min_size = cache.max_size = METADATA_CACHE_BYTES
    file.id.set_mdc_config(cache)
    return file


def _read_index(path: Path) -> dict[str, Any]:
    if not path.is_file():
        named = zip(FOLDERS, path.absolute().parents, strict=False)
        choice = " ".join(reversed([f"{key}={folder.name}" for key, folder in named]))
        raise UserError(
            f"{path.parent}: no finished tracks. Make them with: python generate.py {choice} "
            "(a run that was cut off goes on where it was)."
        )
    remedy = mend_index(path.parent)
    index: dict[str, Any] = read_json(path, remedy)
    found = index.get("format_version") if isinstance(index, dict) else None
    if found not in (UNSEALED_VERSION, FORMAT_VERSION):
        raise UserError(
            f"{path}: shard format {found}, this code reads {UNSEALED_VERSION} and "
            f"{FORMAT_VERSION}. Delete the folder and run generate.py again."
        )
    if index.pop(CHECKSUM, None) not in (None, checksum_of(index)):
        raise UserError(f"{path}: damaged, it is not what was written. {remedy}")
    missing = [key for key in KEYS if key not in index]
    if missing:
        raise UserError(f"{path}: damaged, {', '.join(missing)} not found in it. {remedy}")
    wrong = _wrong_entry(index["entries"])
    if wrong:
        raise UserError(f"{path}: damaged, {wrong}. {remedy}")
    return index


def _wrong_entry(entries: Any) -> str:
    """What no index of ours says, such as names that lead out of the folder; "" for nothing."""
    if not isinstance(entries, dict):
        return "entries are no list of names"
    for name, entry in entries.items():
        for part in name.split("/", 1):
            if unsafe_name(part):
                return f"the name {name!r} {unsafe_name(part)}"
        counts = [entry.get(key) for key in COUNTS] if isinstance(entry, dict) else [None]
        if any(type(count) is not int or count < 0 for count in counts):
            return f"entry {name} lacks {' or '.join(COUNTS)}"
        if not re.fullmatch(SHARD_NAME, str(entry.get("shard"))):
            return f"entry {name} lies in {entry.get('shard')!r}, which is no shard"
    return ""
