"""Trackers: networks that follow masks through a video."""

from sola.trackers.base import RANDOM_WEIGHTS, GeneratedMask, Propagated, Session, Tracker

__all__ = ["RANDOM_WEIGHTS", "GeneratedMask", "Propagated", "Session", "Tracker"]
