"""Interface of a split of a data set, independent of its files."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from sola.types import Expression, Masklet, Video


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong, or odd, with the files of a data set."""

    path: Path
    reason: str
    is_error: bool = True
    """It would break a run; otherwise it is odd, but works."""

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}"


class Split(ABC):
    """Videos, expressions and ground truth of one split.

    docs/adding_a_dataset.md shows how to add one; its constructor takes the root folder, the split
    and the data set's name.
    """

    name: str
    """Name of the data set; names its folder of tracks."""
    split: str
    split_dir: Path
    """Folder of the split, for messages."""
    videos: dict[str, Video]
    """Videos by id, in the order of the file; frames in the order of time."""
    expressions: list[Expression]
    """All expressions of the split, in the order of the file."""
    protocol: str = "mevis"
    """Name of its benchmark's protocol, see ``sola.evaluation.protocols``."""
    problems: Sequence[Problem] = ()
    """Problems found when it was opened."""

    @classmethod
    def splits(cls, root: Path) -> list[str]:
        """Names of the splits on disk; by default the folders of ``root``."""
        folders = sorted(path.name for path in root.glob("*/"))
        return [name for name in folders if not name.startswith(".")]

    @property
    @abstractmethod
    def has_masks(self) -> bool:
        """Whether the split's ground truth is here."""

    @property
    @abstractmethod
    def annotations_sha256(self) -> dict[str, str]:
        """SHA-256 of the files that define the split, by name."""

    @abstractmethod
    def ground_truth(self, video_id: str) -> dict[str, Masklet]:
        """Masklets of the video's objects by id, at least of those that an expression names.

        The masks are in the order of the video's frames and of their size: annotations a pixel
        off occur in real data, and are resized. A frame on which the object is absent has an empty
        mask.

        Raises:
            UserError: if masks are missing or damaged, or the first frame cannot be read.
        """

    def named_objects(self, video_id: str) -> list[str]:
        """Objects of a video that an expression names, each once."""
        return list(self._named.get(video_id, ()))

    @cached_property
    def _named(self) -> dict[str, dict[str, None]]:
        named: dict[str, dict[str, None]] = {}
        for expression in self.expressions:
            of_video = named.setdefault(expression.video_id, {})
            of_video.update(dict.fromkeys(expression.object_ids or ()))
        return named
