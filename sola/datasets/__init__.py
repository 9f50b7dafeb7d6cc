"""Data sets: read videos, expressions and ground-truth masklets; one module per layout."""

from sola.datasets.dataset import ClipDataset, Dataset, JointDataset
from sola.datasets.mevis import MeViS, MeViSv2
from sola.datasets.ref_davis import RefDAVIS
from sola.datasets.ref_youtube_vos import RefYouTubeVOS
from sola.datasets.split import Split

__all__ = [
    "ClipDataset",
    "Dataset",
    "JointDataset",
    "MeViS",
    "MeViSv2",
    "RefDAVIS",
    "RefYouTubeVOS",
    "Split",
]
