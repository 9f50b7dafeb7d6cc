"""Trackers: networks that follow masks through a video."""

from sola.hub import RANDOM_WEIGHTS
from sola.trackers.base import GeneratedMask, Propagated, Session, Tracker

__all__ = ["RANDOM_WEIGHTS", "GeneratedMask", "Propagated", "Session", "Tracker"]
