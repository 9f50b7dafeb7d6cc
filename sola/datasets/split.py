"""Interface of a split of a data set, independent of its file layout."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from sola.types import Expression, Masklet, Video


@dataclass(frozen=True)
class Problem:
    """An error or oddity in the files of a data set."""

    path: Path
    reason: str
    is_error: bool = True
    """Whether it would break a run; if not, it is only odd."""

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}"


class Split(ABC):
    """Videos, expressions and ground truth of one split.

    The constructor takes the root folder, the split and the data set's name. See
    docs/adding_a_dataset.md for how to add one.
    """

    name: str
    """Name of the data set and of its folder of tracks."""
    split: str
    split_dir: Path
    """Folder of the split, for messages."""
    videos: dict[str, Video]
    """Videos by id, in the order of the file; frames in the order of time."""
    expressions: list[Expression]
    """All expressions of the split, in the order of the file."""
    protocol: str = "mevis"
    """Name of the benchmark's protocol, see ``sola.evaluation.protocols``."""
    problems: Sequence[Problem] = ()
    """Problems found when the split was opened."""

    @classmethod
    def splits(cls, root: Path) -> list[str]:
        """Return the names of the splits on disk; by default the folders of ``root``."""
        folders = sorted(path.name for path in root.glob("*/"))
        return [name for name in folders if not name.startswith(".")]

    @property
    @abstractmethod
    def has_masks(self) -> bool:
        """Whether the split has ground truth."""

    @property
    @abstractmethod
    def annotations_sha256(self) -> dict[str, str]:
        """SHA-256 of the files that define the split, by name."""

    @abstractmethod
    def ground_truth(self, video_id: str) -> dict[str, Masklet]:
        """Return the masklets of the video's objects by id, at least of those in expressions.

        The masks have the order and the size of the video's frames: annotations that are a pixel
        off, as in real data, are resized. A frame without the object has an empty mask.

        Raises:
            UserError: if masks are missing or damaged, or the first frame cannot be read.
        """

    def named_objects(self, video_id: str) -> list[str]:
        """Return the distinct objects of a video that expressions name."""
        return list(self._named.get(video_id, ()))

    @cached_property
    def _named(self) -> dict[str, dict[str, None]]:
        named: dict[str, dict[str, None]] = {}
        for expression in self.expressions:
            of_video = named.setdefault(expression.video_id, {})
            of_video.update(dict.fromkeys(expression.object_ids or ()))
        return named
