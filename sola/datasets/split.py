"""What everything downstream takes: one split of a data set, whatever its files look like."""

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from sola.datasets.problems import Problem
from sola.types import Expression, Masklet, Video


class Split(ABC):
    """Videos, expressions and ground truth of one split.

    docs/adding_a_dataset.md shows how to add one; its constructor takes the root folder, the split
    and the data set's name.
    """

    name: str
    """Of the data set; names its folder of tracks."""
    split: str
    split_dir: Path
    """For messages: where the split lies."""
    protocol: str = "mevis"
    """How its benchmark measures an answer, see ``sola.evaluation.protocols``."""
    problems: Sequence[Problem] = ()
    """What was found wrong or odd while it was opened."""
    broken_videos: Collection[str] = ()
    """Those with an error among ``problems``."""
    num_lost_videos: int = 0
    """Videos that are left out for their errors."""

    @classmethod
    def splits(cls, root: Path) -> list[str]:
        """The splits that are there: a folder each, where nothing else is said."""
        folders = sorted(path.name for path in root.glob("*/"))
        return [name for name in folders if not name.startswith(".")]

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
        """Masklets of the video's objects, at least of those that some expression names, by id.

        The masks are in the order of the video's frames and of their size: annotations a pixel
        off occur in real data, and are resized. A frame on which the object is absent has an empty
        mask.

        Raises:
            ValueError: if masks are missing or damaged, or the first frame cannot be read.
        """

    def named_objects(self, video_id: str) -> list[str]:
        """Objects of a video that some expression names, each once."""
        of_video = (e.object_ids or () for e in self.expressions if e.video_id == video_id)
        return list(dict.fromkeys(object_id for ids in of_video for object_id in ids))

    @property
    def parts(self) -> Mapping[str, "Split"]:
        """The splits that this one is put together from, by the name of their data set."""
        return {self.name: self}

    def locate(self, video_id: str) -> tuple["Split", str]:
        """The part that a video comes from, and the video's id there."""
        return self, video_id
