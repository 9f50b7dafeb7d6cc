"""SAM 2, as the package sam2 has it."""

from sola.trackers.sam2.tracker import MaskGeneratorConfig, Sam2Tracker

__all__ = ["MaskGeneratorConfig", "Sam2Tracker"]
