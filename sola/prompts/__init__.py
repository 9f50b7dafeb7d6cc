"""Prompt sources: which masks of a video become prompts, and in which order they are tracked."""

from sola.prompts.base import (
    WHOLE_VIDEO,
    KeptPrompts,
    PromptCounts,
    PromptedVideo,
    PromptSource,
    SettingsError,
)
from sola.prompts.gdino import DetectorBoxes
from sola.prompts.grid import Grid, drop_parts, grid_frames, grid_prompts, keep_wholes
from sola.prompts.gt import GroundTruth, ground_truth_prompts
from sola.prompts.selection import PromptQueue, TrackingRule, leading_group, same_frame_group

__all__ = [
    "WHOLE_VIDEO",
    "DetectorBoxes",
    "Grid",
    "GroundTruth",
    "KeptPrompts",
    "PromptCounts",
    "PromptQueue",
    "PromptSource",
    "PromptedVideo",
    "SettingsError",
    "TrackingRule",
    "drop_parts",
    "grid_frames",
    "grid_prompts",
    "ground_truth_prompts",
    "keep_wholes",
    "leading_group",
    "same_frame_group",
]
