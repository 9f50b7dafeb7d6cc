"""Data sets as conf/dataset/ names them: where they lie, and how their splits are opened."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from sola.checks import folder_name
from sola.datasets.meta import MetaSplit
from sola.datasets.moving_shapes.maker import Maker
from sola.datasets.split import Split
from sola.errors import UserError
from sola.types import Masklet

SEPARATOR = ":"
"""Between the name of a data set and a video's id in it."""


class Dataset:
    """One data set on disk.

    Args:
        name: names every number and the folders below data/tracks.
        root: folder of the data set; it may be read-only.
        reader: opens a split: a subclass of ``Split`` that takes (root, split, name).
        train_split: the split that train.py learns from.
        valid_split: the split that train.py validates on; the default split of evaluate.py and
            predict.py.
        valid_sources: prompt sources whose tracks answer expressions, unless others are given.
        submission_top_dir: folder that holds the videos in a submission's zip; "": none.
        maker: writes the videos of a synthetic data set; None: they are on disk.

    Raises:
        UserError: if a name cannot name a folder.
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
        """The class that reads a split."""
        found: Any = getattr(self.reader, "func", self.reader)
        assert isinstance(found, type), "reader is a class, or a partial of one"
        return found

    @property
    def parts(self) -> Mapping[str, "Dataset"]:
        """The data sets that this one is put together from, by name."""
        return {self.name: self}

    def make(self, split: str) -> bool:
        """Write a split of a synthetic data set unless it is there; return whether it was written.

        Raises:
            UserError: if the split is not configured, or one with other settings is in the way.
        """
        return self.maker is not None and self.maker.write(self.root, split)

    def splits(self) -> list[str]:
        """The splits that are on disk."""
        return self.split_class.splits(self.root)

    def open(self, split: str, *, keep_problems: bool = False) -> Split:
        """Open a split to read.

        Args:
            split: its name.
            keep_problems: see ``MetaSplit``; other layouts ignore it.

        Raises:
            UserError: if its files are missing or broken.
        """
        keeps = keep_problems and issubclass(self.split_class, MetaSplit)
        options = {"keep_problems": True} if keeps else {}
        return self.reader(self.root, split, self.name, **options)

    def refuse_joint(self) -> None:
        """Refuse several data sets: tracks and numbers belong to one.

        Raises:
            UserError: if this one is several.
        """
        if isinstance(self, JointDataset):
            choices = " or ".join(f"dataset={name}" for name in self.parts)
            raise UserError(f"dataset={self.name} is training-only. Choose {choices}.")


class JointDataset(Dataset):
    """Several data sets to train on together; validation is on the first.

    Args:
        name: of the whole.
        parts: data sets by name.
        train_split: name of the joint training split.
        valid_split: see ``Dataset``; a split of the first part.
        valid_sources: see ``Dataset``.

    Raises:
        UserError: if there are none, or two have one name.
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
        if len(self._parts) < len(parts) or any(SEPARATOR in part for part in self._parts):
            raise UserError(
                f"parts: names must be unique and without '{SEPARATOR}', got "
                f"{', '.join(part.name for part in parts.values())}."
            )
        first = next(iter(parts.values()))
        super().__init__(name, first.root, first.reader, train_split, valid_split, valid_sources)

    @property
    def parts(self) -> Mapping[str, Dataset]:
        """See ``Dataset.parts``."""
        return self._parts

    def open(self, split: str, *, keep_problems: bool = False) -> Split:
        """See ``Dataset.open``; the training split is that of all parts, any other the first's."""
        parts = list(self._parts.values())
        if split != self.train_split:
            return parts[0].open(split, keep_problems=keep_problems)
        return JointSplit(self.name, [part.open(part.train_split) for part in parts])


class JointSplit(Split):
    """Splits of several data sets; a video's id is ``<data set>:<its id there>``.

    Tracks are made and kept by data set: ``locate`` says where a video's own are.
    """

    def __init__(self, name: str, parts: list[Split]) -> None:
        """Put splits of differently named data sets together.

        Args:
            name: label of the whole.
            parts: one of each data set.
        """
        self.name, self._parts = name, {part.name: part for part in parts}
        self.split = "+".join(dict.fromkeys(part.split for part in parts))
        self.split_dir = parts[0].split_dir
        self.videos, self.expressions = {}, []
        for part in parts:
            for own_id, video in part.videos.items():
                joint = replace(video, video_id=f"{part.name}{SEPARATOR}{own_id}")
                self.videos[joint.video_id] = joint
            self.expressions += [
                replace(expression, video_id=f"{part.name}{SEPARATOR}{expression.video_id}")
                for expression in part.expressions
            ]

    @property
    def parts(self) -> Mapping[str, Split]:
        """See ``Split.parts``."""
        return self._parts

    def locate(self, video_id: str) -> tuple[Split, str]:
        """See ``Split.locate``."""
        name, _, own_id = video_id.partition(SEPARATOR)
        return self._parts[name], own_id

    @property
    def has_masks(self) -> bool:
        """Whether the ground truth of all parts is here."""
        return all(part.has_masks for part in self._parts.values())

    @property
    def annotations_sha256(self) -> dict[str, str]:
        """See ``Split.annotations_sha256``."""
        return {
            f"{name}/{file}": sha256
            for name, part in self._parts.items()
            for file, sha256 in part.annotations_sha256.items()
        }

    def ground_truth(self, video_id: str) -> dict[str, Masklet]:
        """See ``Split.ground_truth``."""
        part, own_id = self.locate(video_id)
        return part.ground_truth(own_id)
