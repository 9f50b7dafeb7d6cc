"""A clip and the sentences about it, as everything downstream takes a data set."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

from sola.datasets import Split
from sola.prediction.clip.extraction import Clip
from sola.types import Expression, Masklet, Video

NAME = "clips"
"""Of the data set that all clips make up, one split each."""


class ClipSplit(Split):
    """One clip, with or without sentences about it; there is no ground truth."""

    def __init__(self, clip: Clip, clips_dir: Path, texts: Sequence[str] = ()) -> None:
        """Take a clip.

        Args:
            clip: its frames are on disk.
            clips_dir: where.
            texts: sentences about it; their places are their ids.
        """
        self.clip, self.name, self.split = clip, NAME, clip.clip_id
        self.split_dir = clips_dir / clip.clip_id
        self._video = Video(clip.clip_id, clip.frame_paths(clips_dir))
        self._expressions = [
            Expression(clip.clip_id, str(idx), text, object_ids=None)
            for idx, text in enumerate(texts)
        ]

    @property
    def videos(self) -> dict[str, Video]:
        """The clip."""
        return {self.clip.clip_id: self._video}

    @property
    def expressions(self) -> list[Expression]:
        """One a sentence."""
        return self._expressions

    @property
    def has_masks(self) -> bool:
        """False."""
        return False

    @property
    def annotations_sha256(self) -> dict[str, str]:
        """Of the frames and, where there are any, of the sentences."""
        texts = [expression.text for expression in self._expressions]
        of_texts = hashlib.sha256(json.dumps(texts).encode()).hexdigest()
        return {"frames": self.clip.frames_sha256} | ({"expressions": of_texts} if texts else {})

    def ground_truth(self, video_id: str) -> dict[str, Masklet]:
        """Nothing."""
        return {}
