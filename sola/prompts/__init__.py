"""Prompt sources: which masks of a video become prompts, and in which order they are tracked."""

from sola.prompts.base import WHOLE_VIDEO, KeptPrompts, PromptedVideo, PromptSource
from sola.prompts.gdino import DetectorBoxes
from sola.prompts.grid import Grid
from sola.prompts.gt import GroundTruth
from sola.prompts.selection import PromptQueue, TrackingRule

__all__ = ["WHOLE_VIDEO", "DetectorBoxes", "Grid", "GroundTruth", "KeptPrompts", "PromptQueue"]
__all__ += ["PromptSource", "PromptedVideo", "TrackingRule"]
