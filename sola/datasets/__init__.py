"""Files on disk -> videos, expressions and ground-truth masklets; one module a layout."""

from pathlib import Path
from typing import Any, Protocol

from sola.config.by_name import check_call, file_of, find_class
from sola.config.schema import DatasetConfig, DatasetPartConfig
from sola.config.sections import JOINT, LAYOUTS
from sola.datasets.joint import JointSplit
from sola.datasets.label_maps import LabelMapSplit
from sola.datasets.meta_split import MetaSplit
from sola.datasets.mevis import MeViS, MeViSv2
from sola.datasets.ref_davis import RefDAVIS
from sola.datasets.ref_youtube_vos import RefYouTubeVOS
from sola.datasets.split import Split
from sola.errors import UserError

READERS: dict[str, type[MeViS] | type[LabelMapSplit]] = {
    "mevis": MeViS,
    "mevis_v2": MeViSv2,
    "moving_shapes": MeViS,
    "ref_davis": RefDAVIS,
    "ref_youtube_vos": RefYouTubeVOS,
}
"""By layout; others are found by their name."""


def open_dataset(config: DatasetConfig, split: str) -> Split:
    """The split of a data set, for reading.

    Of data sets put together, the training split is that of all of them, each by its own name;
    any other split is that of the first.

    Raises:
        UserError: if the layout is unknown, or the split's files are not there or broken.
    """
    if config.layout != JOINT:
        return open_part(config, split)
    parts = list(config.parts.values())
    if split != config.train_split:
        return open_part(parts[0], split)
    return JointSplit(config.name, [open_part(part, part.train_split) for part in parts])


class SplitClass(Protocol):
    """The class of a user's own layout."""

    def __call__(self, root: Path, split: str, name: str) -> Split:
        """Opens a split; ``name`` is the data set's."""


def open_part(config: DatasetPartConfig, split: str, *, keep_problems: bool = False) -> Split:
    """The split of one data set; see ``MetaSplit`` for ``keep_problems``.

    Raises:
        UserError: as ``open_dataset`` does.
    """
    reader = reader_of(config.layout)
    root, name = Path(config.root), config.name
    if issubclass(reader, MeViS):
        cache_dir = None if config.cache_dir is None else Path(config.cache_dir)
        return reader(root, split, name, cache_dir=cache_dir, keep_problems=keep_problems)
    if issubclass(reader, MetaSplit):
        return reader(root, split, name, keep_problems=keep_problems)
    check_call(reader, SplitClass.__call__, file_of(reader), name="__init__")
    opened: Split = reader(root, split, name)
    unset = [each for each in ("name", "split", "split_dir") if not hasattr(opened, each)]
    if unset:
        raise UserError(f"{file_of(reader)}: __init__ must set {', '.join(unset)} of self.")
    return opened


def reader_of(layout: str) -> Any:
    """The class that reads a layout: one of ``READERS``, or that of a module of the same name.

    Raises:
        UserError: if there is none.
    """
    if layout in READERS:
        return READERS[layout]
    if layout not in LAYOUTS:
        known = sorted({*READERS, *LAYOUTS} - {JOINT})
        raise UserError(f"dataset.layout={layout}: not known; choose one of {known}.")
    return find_class("sola.datasets", layout, Split, "dataset.layout")


__all__ = [
    "READERS",
    "JointSplit",
    "MeViS",
    "MeViSv2",
    "RefDAVIS",
    "RefYouTubeVOS",
    "Split",
    "open_dataset",
    "open_part",
    "reader_of",
]
