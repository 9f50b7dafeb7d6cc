"""What everything downstream takes: one split of a data set, whatever its files look like."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path

from sola.types import Expression, Masklet, Video


class Split(ABC):
    """Videos, expressions and ground truth of one split."""

    name: str
    """Of the data set; names its folder of tracks."""
    split: str
    split_dir: Path
    """For messages: where the split lies."""
    protocol: str = "mevis"
    """How its benchmark measures an answer, see ``sola.evaluation.official``."""

    @property
    @abstractmethod
    def videos(self) -> dict[str, Video]:
        """Videos by id, in the order of the file; frames in the order of time."""

    @property
    @abstractmethod
    def expressions(self) -> list[Expression]:
        """All expressions of the split, in the order of the file."""

    @property
    @abstractmethod
    def has_masks(self) -> bool:
        """Whether the split's ground truth is here."""

    @property
    @abstractmethod
    def annotations_sha256(self) -> dict[str, str]:
        """SHA-256 of what says what the split holds, by name."""

    @abstractmethod
    def ground_truth(self, video_id: str) -> dict[str, Masklet]:
        """Masklets of the video's objects that some expression names, by object id.

        The masks are in the order of the video's frames and of their size: annotations a pixel
        off occur in real data, and are resized. A frame on which the object is absent has an empty
        mask.

        Raises:
            ValueError: if masks are missing or damaged, or the first frame cannot be read.
        """

    @property
    def parts(self) -> Mapping[str, "Split"]:
        """The splits that this one is put together from, by the name of their data set."""
        return {self.name: self}

    def locate(self, video_id: str) -> tuple["Split", str]:
        """The part that a video comes from, and the video's id there."""
        return self, video_id
