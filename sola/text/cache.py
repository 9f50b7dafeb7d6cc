"""Text tokens by sentence: from the cache on disk, or from the encoder when they are new.

A file of the cache holds the tokens of some texts of one encoder: an array (L, E) float32 for each,
named by the sha256 of the text. Files are written under another name and then renamed; a further
run adds a file.
"""

import hashlib
import logging
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sola.files import Damage, find_files
from sola.sealed import (
    as_texts,
    open_group,
    open_hdf5,
    read_array,
    seal,
    whole_hdf5,
    write_array,
)
from sola.text.encoder import TextEncoder

log = logging.getLogger(__name__)

FORMAT_VERSION = 3
SUFFIX = ".h5"
REMEDY = "Move it away: it is made again when it is needed."
CHUNK_SIZE = 4096
"""Texts encoded between two writes: what a killed run loses at most."""


class TextTokens:
    """The text tokens of any expression; the encoder is loaded only when a text is new.

    Args:
        cache_dir: holds a folder for each encoder (``data/text``); made when something is added.
        encoder: makes tokens of new texts; files of encoders of another identity are not read.

    Raises:
        UserError: if the encoder's package is missing.
    """

    def __init__(self, cache_dir: Path, encoder: TextEncoder) -> None:
        self.encoder, self.folder = encoder, cache_dir / encoder.name
        self.identity = encoder.identity()
        """Distinguishes the encoder, its weights included, from others."""
        self._prefix = _digest(self.identity)[:12]
        self._known_files: set[Path] = set()
        self._paths: dict[str, Path] = {}
        """The file of every text, by its sha256."""
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
        by_key = {_digest(text): text for text in texts}
        if not by_key.keys() <= self._paths.keys():
            self._refresh()
        missing = [text for key, text in by_key.items() if key not in self._paths]
        for start in range(0, len(missing), CHUNK_SIZE):
            self.add(self.encoder.encode(missing[start : start + CHUNK_SIZE]))

    def add(self, tokens: Mapping[str, NDArray[np.float32]]) -> None:
        """Write one file with the tokens (L, E) of some texts."""
        arrays = {_digest(text): array.astype(np.float32) for text, array in tokens.items()}
        path = self.folder / f"{self._prefix}-{_digest(' '.join(arrays))[:12]}{SUFFIX}"
        with whole_hdf5(path) as file:
            file.attrs["format_version"] = FORMAT_VERSION
            file.attrs["encoder"] = as_texts([self.identity])[0]
            for key, array in arrays.items():
                write_array(file, key, array)
            seal(file, path.stem)
        self._paths |= dict.fromkeys(arrays, path)

    def _read(self, text: str) -> NDArray[np.float32]:
        key = _digest(text)
        with open_hdf5(self._paths[key], REMEDY) as file:
            tokens = read_array(file, key)
            if not np.isfinite(tokens).all():
                raise Damage(f"tokens of {text!r} are NaN or infinite")
        return tokens

    def _refresh(self) -> None:
        """Index files that were added since, by this or another process."""
        for path in find_files(self.folder, f"{self._prefix}-*{SUFFIX}"):
            if path not in self._known_files:
                self._paths |= dict.fromkeys(self._keys(path), path)
                self._known_files.add(path)

    def _keys(self, path: Path) -> Iterable[str]:
        with open_hdf5(path, REMEDY) as file:
            attributes = open_group(file, "", path.stem).attrs
            found = int(attributes["format_version"])
            if found != FORMAT_VERSION:
                log.info("%s: text cache format %d, its texts are encoded again", path, found)
                return []
            return list(file) if attributes["encoder"].decode() == self.identity else []


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
