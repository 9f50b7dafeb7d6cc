"""Text tokens by sentence: from the cache on disk, or from the encoder when they are new.

A file of the cache holds the tokens of some texts of one encoder: ``tokens`` float32 (sum of L, E),
one text after the other; ``keys`` the sha256 of every text; ``lengths`` int32, its L; ``crc32`` of
its tokens. Files are written under another name and then renamed; a further run adds a file.
"""

import hashlib
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sola.errors import UserError
from sola.files import Damage, find_files
from sola.sealed import (
    as_texts,
    open_array,
    open_group,
    open_hdf5,
    read_array,
    seal,
    whole_hdf5,
    write_array,
)
from sola.text.encoder import TextEncoder

FORMAT_VERSION = 2
SUFFIX = ".h5"
REMEDY = "Move it away: it is made again when it is needed."
CHUNK_SIZE = 4096
"""Texts encoded between two writes: what a killed run loses at most."""


class Place(NamedTuple):
    """Where the tokens of one text are."""

    path: Path
    start: int
    length: int
    crc32: int
    """Of the tokens."""


class TextTokens:
    """The text tokens of any expression; the encoder is loaded only when a text is new.

    Args:
        cache_dir: holds a folder for each encoder (``data/text``); made when something is added.
        encoder: makes tokens of new texts; files of encoders of another identity are not read.

    Raises:
        UserError: if the encoder's package is missing or its cache has another format version.
    """

    def __init__(self, cache_dir: Path, encoder: TextEncoder) -> None:
        self.encoder, self.folder = encoder, cache_dir / encoder.name
        self.identity = encoder.identity()
        """Distinguishes the encoder, its weights included, from others."""
        self._prefix = _digest(self.identity)[:12]
        self._read_paths: set[Path] = set()
        self._places: dict[str, Place] = {}
        self._refresh()

    def tokens(self, texts: Sequence[str]) -> list[NDArray[np.float32]]:
        """Text tokens of every text.

        Args:
            texts: expressions, as they are written.

        Returns:
            One (L, E) float32 array a text, special tokens included.

        Raises:
            UserError: if the encoder is needed and cannot be loaded, or has another width.
        """
        self.prepare(texts)
        return [self._read(text) for text in texts]

    def prepare(self, texts: Sequence[str]) -> None:
        """Encode the texts that are not in the cache yet; raises as ``tokens``."""
        if self._missing(texts):
            self._refresh()
        missing = self._missing(texts)
        for start in range(0, len(missing), CHUNK_SIZE):
            self.add(self.encoder.encode(missing[start : start + CHUNK_SIZE]))

    def add(self, tokens: Mapping[str, NDArray[np.float32]]) -> None:
        """Write one file with the tokens (L, E) of some texts."""
        keys = [_digest(text) for text in tokens]
        path = self.folder / f"{self._prefix}-{_digest(' '.join(keys))[:12]}{SUFFIX}"
        arrays = [array.astype(np.float32) for array in tokens.values()]
        with whole_hdf5(path) as file:
            file.attrs["format_version"] = FORMAT_VERSION
            file.attrs["encoder"] = as_texts([self.identity])[0]
            file["tokens"] = np.concatenate(arrays)
            write_array(file, "lengths", np.array([len(array) for array in arrays], np.int32))
            write_array(file, "keys", as_texts(keys))
            write_array(file, "crc32", np.array([_crc32(a) for a in arrays], np.uint32))
            seal(file, path.stem)
        self._refresh()

    def _missing(self, texts: Sequence[str]) -> list[str]:
        """The texts without tokens, each once, in their order."""
        return [text for text in dict.fromkeys(texts) if _digest(text) not in self._places]

    def _read(self, text: str) -> NDArray[np.float32]:
        place = self._places[_digest(text)]
        with open_hdf5(place.path, REMEDY) as file:
            stored = open_array(file, "tokens")
            tokens: NDArray[np.float32] = stored[place.start : place.start + place.length]
            if _crc32(tokens) != place.crc32 or not np.isfinite(tokens).all():
                raise Damage(f"the tokens of {text!r} differ from what was written")
        return tokens

    def _refresh(self) -> None:
        """Index files that were added since, by this or another process."""
        for path in find_files(self.folder, f"{self._prefix}-*{SUFFIX}"):
            if path not in self._read_paths:
                self._places |= self._index(path)
                self._read_paths.add(path)

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
                f"{path}: text cache format {found}, this code reads {FORMAT_VERSION}. {REMEDY}"
            )
        starts = np.cumsum([0, *lengths]).tolist()
        places = [Place(path, *each) for each in zip(starts, lengths, sums, strict=False)]
        return dict(zip(keys, places, strict=True)) if encoder == self.identity else {}


def _crc32(tokens: NDArray[np.float32]) -> int:
    return zlib.crc32(np.ascontiguousarray(tokens).data)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
