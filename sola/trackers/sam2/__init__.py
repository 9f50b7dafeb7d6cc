"""SAM 2 as a tracker, with the networks of the package sam2."""

from sola.trackers.sam2.tracker import MaskGeneratorConfig, Sam2Tracker

__all__ = ["MaskGeneratorConfig", "Sam2Tracker"]
