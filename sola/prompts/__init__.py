"""Prompt sources, which find the masks to track, and the queue that orders them."""

from sola.prompts.base import (
    WHOLE_VIDEO,
    Detections,
    Detector,
    PromptedVideo,
    PromptQueue,
    PromptSource,
    TrackingRule,
)
from sola.prompts.sources import DetectorBoxes, Grid, GroundTruth

__all__ = ["WHOLE_VIDEO", "Detections", "Detector", "DetectorBoxes", "Grid", "GroundTruth"]
__all__ += ["PromptQueue", "PromptSource", "PromptedVideo", "TrackingRule"]
