"""Data sets of conf/dataset/: their folders, splits and readers."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from sola.checks import folder_name
from sola.datasets.meta import MetaSplit
from sola.datasets.moving_shapes.maker import Maker
from sola.datasets.split import Split
from sola.errors import UserError


class Dataset:
    """One data set on disk.

    Args:
        name: name of the data set in results, and of its folders below data/tracks.
        root: folder of the data set; it may be read-only.
        reader: opens a split: a subclass of ``Split`` that takes (root, split, name).
        train_split: the split that train.py trains on.
        valid_split: the split that train.py validates on; the default split of evaluate.py and
            predict.py.
        valid_sources: default prompt sources of the tracks that answer expressions.
        submission_top_dir: folder that holds the videos in a submission's zip; "": none.
        maker: writes the videos of a synthetic data set; None: they are already on disk.

    Raises:
        UserError: if a name is not a valid folder name.
    """

    def __init__(
        self,
        name: str,
        root: str | Path,
        reader: Callable[..., Split],
        train_split: str = "train",
        valid_split: str = "valid_u",
        valid_sources: list[str] | None = None,
        submission_top_dir: str = "",
        maker: Maker | None = None,
    ) -> None:
        folder_name(name=name)
        if submission_top_dir:
            folder_name(submission_top_dir=submission_top_dir)
        self.name, self.root, self.reader = name, Path(root), reader
        self.train_split, self.valid_split = train_split, valid_split
        self.valid_sources = ["grid"] if valid_sources is None else list(valid_sources)
        self.submission_top_dir, self.maker = submission_top_dir, maker

    @property
    def split_class(self) -> type[Split]:
        """Class that reads a split."""
        found: Any = getattr(self.reader, "func", self.reader)
        assert isinstance(found, type), "reader is a class, or a partial of one"
        return found

    @property
    def parts(self) -> Mapping[str, "Dataset"]:
        """Data sets that this one consists of, by name."""
        return {self.name: self}

    def make(self, split: str) -> bool:
        """Write a split of a synthetic data set unless it exists; return whether it was written.

        Raises:
            UserError: if the split is not configured, or exists with other settings.
        """
        return self.maker is not None and self.maker.write(self.root, split)

    def splits(self) -> list[str]:
        """Return the names of the splits on disk."""
        return self.split_class.splits(self.root)

    def open(self, split: str, *, keep_problems: bool = False) -> Split:
        """Open a split to read.

        Args:
            split: name of the split.
            keep_problems: see ``MetaSplit``; other layouts ignore it.

        Raises:
            UserError: if files of the split are missing or broken.
        """
        keeps = keep_problems and issubclass(self.split_class, MetaSplit)
        options = {"keep_problems": True} if keeps else {}
        return self.reader(self.root, split, self.name, **options)

    def refuse_joint(self) -> None:
        """Check that this is a single data set, as tracks and results belong to one.

        Raises:
            UserError: if this is a joint data set.
        """
        if isinstance(self, JointDataset):
            choices = " or ".join(f"dataset={name}" for name in self.parts)
            raise UserError(f"dataset={self.name} is training-only. Choose {choices}.")


class JointDataset(Dataset):
    """Several data sets to train on together; validation uses the first.

    Args:
        name: name of the joint data set.
        parts: data sets by name.
        train_split: name of the joint training split.
        valid_split: see ``Dataset``; a split of the first part.
        valid_sources: see ``Dataset``.

    Raises:
        UserError: if there are no parts, or two share a name.
    """

    def __init__(
        self,
        name: str,
        parts: dict[str, Dataset],
        train_split: str = "train",
        valid_split: str = "valid_u",
        valid_sources: list[str] | None = None,
    ) -> None:
        if not parts:
            raise UserError("parts: at least one data set is required.")
        self._parts = {part.name: part for part in parts.values()}
        if len(self._parts) < len(parts):
            names = ", ".join(part.name for part in parts.values())
            raise UserError(f"parts: names must be unique, got {names}.")
        first = next(iter(parts.values()))
        super().__init__(name, first.root, first.reader, train_split, valid_split, valid_sources)

    @property
    def parts(self) -> Mapping[str, Dataset]:
        """See ``Dataset.parts``."""
        return self._parts

    def open(self, split: str, *, keep_problems: bool = False) -> Split:
        """Open a split of the first part; see ``Dataset.open``."""
        return next(iter(self._parts.values())).open(split, keep_problems=keep_problems)


class ClipDataset(Dataset):
    """Your own video, for ``predict.py video=...``: it has no splits on disk.

    Args:
        valid_split: name of the clip in place of a split.
        valid_sources: default prompt sources of the clip's tracks.
    """

    def __init__(self, valid_split: str, valid_sources: list[str]) -> None:
        super().__init__("clip", ".", Split, valid_split, valid_split, valid_sources)

    def splits(self) -> list[str]:
        """Refuse, as ``open`` does."""
        return [self.open(self.valid_split).split]

    def open(self, split: str, *, keep_problems: bool = False) -> Split:
        """Refuse: only ``video=...`` names the clip.

        Raises:
            UserError: always.
        """
        raise UserError("dataset=clip is for your own video only: sola predict video=clip.mp4")
