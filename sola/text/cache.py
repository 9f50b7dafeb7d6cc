"""Text tokens on disk: complete HDF5 files, each written under another name and then renamed.

A file holds the tokens of some texts of one encoder: ``tokens`` float32 (sum of L, E), one text
after the other; ``keys`` the sha256 of every text; ``lengths`` int32, its L. A run that is killed
leaves at most a file of another name, which nobody reads; a further run adds a file.
"""

import hashlib
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np
from numpy.typing import NDArray

from sola.errors import UserError
from sola.files import Damage, find_files
from sola.sealed import (
    Hdf5Files,
    as_texts,
    open_array,
    open_group,
    open_hdf5,
    read_array,
    seal,
    whole_hdf5,
    write_array,
)

FORMAT_VERSION = 2
SUFFIX = ".h5"
REMEDY = "Move it away: it is made again when it is needed."
MAX_BYTES_KEPT = 1 << 28
"""Tokens kept in memory by one process."""


class Place(NamedTuple):
    """Where the tokens of one text are."""

    path: Path
    start: int
    length: int
    crc32: int
    """Of the tokens."""


class TokenCache:
    """Tokens of one encoder in a folder that may hold those of others.

    Args:
        folder: made when something is added.
        identity: what tells the encoder from others; files of another identity are not read.
    """

    def __init__(self, folder: Path, identity: str) -> None:
        self.folder, self.identity = folder, identity
        self._files = Hdf5Files()
        self._read_paths: set[Path] = set()
        self._places: dict[str, Place] = {}
        self._kept: dict[str, NDArray[np.float32]] = {}
        self._num_bytes_kept = 0

    def refresh(self) -> None:
        """Takes note of files that were added since, by this or another process."""
        prefix = _digest(self.identity)[:12]
        for path in find_files(self.folder, f"{prefix}-*{SUFFIX}"):
            if path not in self._read_paths:
                self._places |= self._index(path)
                self._read_paths.add(path)

    def missing(self, texts: Iterable[str]) -> list[str]:
        """The texts without tokens, each once, in their order."""
        return [text for text in dict.fromkeys(texts) if _digest(text) not in self._places]

    def read(self, text: str) -> NDArray[np.float32]:
        """Tokens of a text that is there: (L, E); not to be written to."""
        if text in self._kept:
            return self._kept[text]
        place = self._places[_digest(text)]
        with self._files.open(place.path, REMEDY) as file:
            tokens = _read(file, place, text)
        if self._num_bytes_kept < MAX_BYTES_KEPT:
            self._kept[text] = tokens
            self._num_bytes_kept += tokens.nbytes
        return tokens

    def add(self, tokens: Mapping[str, NDArray[np.float32]]) -> None:
        """Writes one file with the tokens (L, E) of some texts."""
        keys = [_digest(text) for text in tokens]
        prefix = _digest(self.identity)[:12]
        path = self.folder / f"{prefix}-{_digest(' '.join(keys))[:12]}{SUFFIX}"
        with whole_hdf5(path) as file:
            file.attrs["format_version"] = FORMAT_VERSION
            file.attrs["encoder"] = as_texts([self.identity])[0]
            file["tokens"] = np.concatenate(list(tokens.values())).astype(np.float32)
            lengths = np.array([len(array) for array in tokens.values()], np.int32)
            write_array(file, "lengths", lengths)
            write_array(file, "keys", as_texts(keys))
            sums = [_crc32(array.astype(np.float32)) for array in tokens.values()]
            write_array(file, "crc32", np.array(sums, np.uint32))
            seal(file, path.stem)
        self.refresh()

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_kept": {}, "_num_bytes_kept": 0}

    def _index(self, path: Path) -> dict[str, Place]:
        with open_hdf5(path, REMEDY) as file:
            cached = open_group(file, "", path.stem)
            found = int(cached.attrs["format_version"])
            encoder = cached.attrs["encoder"].decode()
            lengths, keys, sums = (
                read_array(cached, name).tolist() for name in ("lengths", "keys", "crc32")
            )
        if found != FORMAT_VERSION:
            raise UserError(
                f"{path}: text cache format {found}, this code reads {FORMAT_VERSION}. "
                f"Move {self.folder} away: it is made again when it is needed."
            )
        if encoder != self.identity:
            return {}
        starts = np.cumsum([0, *lengths]).tolist()
        return {
            key: Place(path, start, length, crc32)
            for key, start, length, crc32 in zip(keys, starts, lengths, sums, strict=False)
        }


def _read(file: h5py.File, place: Place, text: str) -> NDArray[np.float32]:
    stored = open_array(file, "tokens")
    tokens: NDArray[np.float32] = stored[place.start : place.start + place.length]
    if _crc32(tokens) != place.crc32:
        raise Damage(f"the tokens of {text!r} are not what was written, by their checksum")
    if not np.isfinite(tokens).all():
        raise Damage(f"the tokens of {text!r} are not all finite")
    return tokens


def _crc32(tokens: NDArray[np.float32]) -> int:
    return zlib.crc32(np.ascontiguousarray(tokens).data)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
