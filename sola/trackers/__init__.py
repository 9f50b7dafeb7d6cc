"""Trackers: networks that follow masks through a video."""

from sola.trackers.base import (
    RANDOM_WEIGHTS,
    BoxMask,
    GeneratedMask,
    Propagated,
    Session,
    Tracker,
)
from sola.trackers.from_config import build_tracker

__all__ = [
    "RANDOM_WEIGHTS",
    "BoxMask",
    "GeneratedMask",
    "Propagated",
    "Session",
    "Tracker",
    "build_tracker",
]
