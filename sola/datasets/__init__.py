"""Files on disk -> videos, expressions and ground-truth masklets; one module a layout."""

from pathlib import Path

from sola.config.schema import DatasetConfig
from sola.config.validation import LAYOUTS
from sola.datasets.mevis import MeViS


def open_dataset(config: DatasetConfig, split: str) -> MeViS:
    """The split of a data set, for reading.

    Raises:
        ValueError: if the layout is unknown or the split's files are not there.
    """
    if config.layout not in LAYOUTS:
        raise ValueError(f"dataset.layout={config.layout}: not known; choose one of {LAYOUTS}.")
    return MeViS(Path(config.root), split, config.name)


__all__ = ["MeViS", "open_dataset"]
