"""All candidate tracks of a video, from one or several prompt sources."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from sola.types import Masklet, Prompt, Tracks

COMMON_TO_TOKENS = ("tracker", "token_dim", "checkpoint_sha256")
"""What index.json says of all object tokens that one selector is used with."""
COMMON_TO_SOURCES = ("dataset", "split", *COMMON_TO_TOKENS)


class TrackReader(Protocol):
    """What is needed of ``sola.shards.ShardReader``."""

    tracks_dir: Path
    index: dict[str, Any]

    def read(self, video_id: str, expression_id: str = "") -> Tracks:
        """Tracks of one video."""


@dataclass(frozen=True)
class Candidates:
    """All tracks of one video, source after source."""

    video_id: str
    object_tokens: NDArray[np.float32]
    """(N, T, D)."""
    masklets: tuple[Masklet, ...]
    """N masklets of T masks."""
    prompts: tuple[Prompt, ...]
    """N prompts, one a track; ``prompt.source`` says where a track comes from."""
    size: tuple[int, int]
    """(H, W) of every mask."""

    @property
    def num_tracks(self) -> int:
        """N."""
        return len(self.masklets)


class TrackSources:
    """Readers of the tracks of one split from several prompt sources, read as one.

    Args:
        readers: one a prompt source; all of one data set, split and tracker.

    Raises:
        ValueError: if there is none, or two sources differ in split or tracker.
    """

    def __init__(self, readers: Sequence[TrackReader]) -> None:
        if not readers:
            raise ValueError(
                "sources=[] names no tracks; give at least one, such as sources=[grid]"
            )
        self.readers = tuple(readers)
        first = self.readers[0]
        for reader in self.readers[1:]:
            for key in COMMON_TO_SOURCES:
                found, needed = reader.index.get(key), first.index.get(key)
                if found != needed:
                    raise ValueError(
                        f"{reader.tracks_dir}: {key} is {found}, that of {first.tracks_dir} is "
                        f"{needed}: object tokens of different trackers do not mix. Run "
                        "generate.py for both with the same tracker."
                    )

    @property
    def token_dim(self) -> int:
        """D, width of an object token."""
        return int(self.readers[0].index["token_dim"])

    def read(self, video_id: str) -> Candidates:
        """All tracks of a video.

        Raises:
            ValueError: if a source lacks the video, or sources disagree on frames or their size.
        """
        parts = [reader.read(video_id) for reader in self.readers]
        shapes = {(part.object_tokens.shape[1], part.size) for part in parts}
        if len(shapes) > 1:
            raise ValueError(
                f"{video_id}: sources {[str(r.tracks_dir) for r in self.readers]} have tracks of "
                f"different (frames, (height, width)): {sorted(shapes)}. Run generate.py again."
            )
        return Candidates(
            video_id=video_id,
            object_tokens=np.concatenate([part.object_tokens for part in parts]),
            masklets=tuple(masklet for part in parts for masklet in part.masklets),
            prompts=tuple(prompt for part in parts for prompt in part.prompts),
            size=parts[0].size,
        )
