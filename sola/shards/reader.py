"""Reads tracks from shards."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from sola.errors import DamagedFile, UserError
from sola.files import Damage, Hdf5Files, is_there, read_json, sha256_of_file, unsafe_name
from sola.sealed import SealedGroup, open_group
from sola.shards.entry import (
    check_entry,
    entry_name,
    read_entry,
    read_evidence,
    read_labels,
    read_tokens,
)
from sola.shards.writer import CHECKSUM, FORMAT_VERSION, INDEX_FILE, checksum_of, mend_index
from sola.types import DetectionEvidence, Labels, MeanOverlaps, Tracks

FOLDERS = ("tracker", "prompt_source", "split", "dataset")
"""What names the folder of some tracks, the one above it, and so on."""
KEYS = ("source", "token_dim", "entries")
"""What index.json cannot do without."""
COUNTS = ("num_tracks", "num_frames")
"""What it says of an entry, beside its shard."""
SHARD_NAME = r"shard-\d{5,}\.h5"


class ShardReader:
    """The finished tracks of one (dataset, split, prompt source, tracker).

    A few files stay open; a reader may be pickled to another process, which opens its own. What is
    read is compared with its checksums; what is not read is not.
    """

    def __init__(self, tracks_dir: Path, *, index: dict[str, Any] | None = None) -> None:
        """Read the index, and make sure that every shard is there and not cut off.

        Args:
            tracks_dir: see ``sola.shards.tracks_dir``.
            index: to use in place of index.json; shards are then opened only when they are read.

        Raises:
            UserError: if there are no finished tracks or they have another format version.
            FileRefused: if the system does not let a file be read.
            DamagedFile: if the content of a file is wrong.
        """
        self.tracks_dir = tracks_dir
        self._files = Hdf5Files()
        self._remedy = ""
        if index is not None:
            self.index = index
            return
        self.index = read_index(tracks_dir)
        self._remedy = (
            f"Run python -m sola.shards check {tracks_dir} --repair, and then generate.py as "
            "before: it makes what is damaged again, and nothing else."
        )
        for name in dict.fromkeys(entry["shard"] for entry in self.index["entries"].values()):
            with self._files.open(tracks_dir / name, self._remedy):
                pass

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
        with self._files.open(self.tracks_dir / shard, self._remedy) as file:
            yield open_group(file, name, name)

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
                f"since they were made: move the folder away and run generate.py again."
            )
        return entry


def fingerprint(tracks_dir: Path) -> dict[str, Any]:
    """What changes when finished tracks are made again, in JSON's types; not where they lie."""
    stats = {path.name: path.stat() for path in sorted(tracks_dir.glob("*.h5"))}
    return {
        "index_sha256": sha256_of_file(tracks_dir / INDEX_FILE),
        "shards": {name: [stat.st_size, stat.st_mtime_ns] for name, stat in stats.items()},
    }


def read_index(tracks_dir: Path) -> dict[str, Any]:
    """Return index.json of finished tracks, without its checksum.

    Raises:
        UserError: if there is none, or it has another format version.
        FileRefused: if the system does not let it be read.
        DamagedFile: if its content is wrong.
    """
    path = tracks_dir / INDEX_FILE
    if not is_there(path):
        named = zip(FOLDERS, path.absolute().parents, strict=False)
        choice = " ".join(reversed([f"{key}={folder.name}" for key, folder in named]))
        raise UserError(
            f"{tracks_dir}: no finished tracks. Make them with: python generate.py {choice} "
            "(a run that was cut off goes on where it was)."
        )
    remedy = mend_index(tracks_dir)
    index: Any = read_json(path, remedy)
    if not isinstance(index, dict) or index.pop(CHECKSUM, None) != checksum_of(index):
        raise DamagedFile(f"{path}: damaged, it is not what was written. {remedy}")
    if index["format_version"] != FORMAT_VERSION:
        raise UserError(
            f"{path}: shard format {index['format_version']}, this code reads {FORMAT_VERSION}. "
            "Move the folder away and run generate.py again."
        )
    missing = [key for key in KEYS if key not in index]
    wrong = f"no {', '.join(missing)} in it" if missing else _wrong_entry(index["entries"])
    if wrong:
        raise DamagedFile(f"{path}: damaged, {wrong}. {remedy}")
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
