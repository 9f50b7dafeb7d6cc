"""Text tokens by expression: from the cache on disk, or from the encoder when they are new."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sola.text.cache import TokenCache
from sola.text.encoder import TextEncoder

CHUNK_SIZE = 4096
"""Texts encoded between two writes: what a killed run loses at most."""


class TextTokens:
    """The text tokens of any expression.

    The encoder is loaded only when a text is met for the first time.

    Args:
        cache_dir: holds a folder for each encoder (``data/text``).
        encoder: makes tokens of new texts.

    Raises:
        ValueError: if the encoder's package is missing or its cache has another format version.
    """

    def __init__(self, cache_dir: Path, encoder: TextEncoder) -> None:
        self.encoder = encoder
        self._cache = TokenCache(cache_dir / encoder.name, encoder.identity())
        self._cache.refresh()

    @property
    def identity(self) -> str:
        """What tells the encoder, its weights included, from others."""
        return self._cache.identity

    def tokens(self, texts: Sequence[str]) -> list[NDArray[np.float32]]:
        """Text tokens of every text.

        Args:
            texts: expressions, as they are written.

        Returns:
            One (L, E) float32 array a text, special tokens included.

        Raises:
            ValueError: if the encoder is needed and cannot be loaded, or has another width.
        """
        self.prepare(texts)
        return [self._cache.read(text) for text in texts]

    def prepare(self, texts: Sequence[str]) -> None:
        """Encodes the texts that are not in the cache yet.

        Raises:
            ValueError: as ``tokens``.
        """
        if not self._cache.missing(texts):
            return
        self._cache.refresh()
        missing = self._cache.missing(texts)
        for start in range(0, len(missing), CHUNK_SIZE):
            self._cache.add(self.encoder.encode(missing[start : start + CHUNK_SIZE]))
