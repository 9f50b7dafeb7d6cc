"""Tracks of several data sets, read as those of one."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from sola.datasets import Split
from sola.evaluation.tracks import check_same_tokens
from sola.shards import ShardReader
from sola.types import Labels, MeanOverlaps, Tracks


class JointReader:
    """What ``ShardReader`` does, for a split that is put together from those of several data sets.

    Args:
        readers: one a data set, by its name; all of one prompt source.
        locate: a video's id -> the split that it comes from, and its id there.

    Raises:
        ValueError: if the data sets' trackers differ.
    """

    def __init__(
        self,
        readers: Mapping[str, ShardReader],
        locate: Callable[[str], tuple[Split, str]],
    ) -> None:
        self.readers, self.locate = dict(readers), locate
        first, *others = self.readers.values()
        for reader in others:
            check_same_tokens(first, reader)
        self.tracks_dir = first.tracks_dir
        """Of the first data set, for messages."""
        self.index: dict[str, Any] = {
            key: value
            for key, value in first.index.items()
            if key != "entries" and all(reader.index.get(key) == value for reader in others)
        }
        """What index.json says of the tracks of all data sets."""

    @property
    def is_by_expression(self) -> bool:
        """See ``ShardReader``."""
        return any(reader.is_by_expression for reader in self.readers.values())

    def read(self, video_id: str, expression_id: str = "") -> Tracks:
        """See ``ShardReader``."""
        reader, own_id = self._find(video_id)
        return reader.read(own_id, expression_id)

    def read_tokens(self, video_id: str, expression_id: str = "") -> np.ndarray:
        """See ``ShardReader``."""
        reader, own_id = self._find(video_id)
        return reader.read_tokens(own_id, expression_id)

    def read_labels(self, video_id: str, expression_id: str = "") -> Labels | MeanOverlaps | None:
        """See ``ShardReader``."""
        reader, own_id = self._find(video_id)
        return reader.read_labels(own_id, expression_id)

    def num_tracks(self, video_id: str, expression_id: str = "") -> int:
        """See ``ShardReader``."""
        reader, own_id = self._find(video_id)
        return reader.num_tracks(own_id, expression_id)

    def num_frames(self, video_id: str, expression_id: str = "") -> int:
        """See ``ShardReader``."""
        reader, own_id = self._find(video_id)
        return reader.num_frames(own_id, expression_id)

    def _find(self, video_id: str) -> tuple[ShardReader, str]:
        part, own_id = self.locate(video_id)
        return self.readers[part.name], own_id


AnyReader = ShardReader | JointReader
