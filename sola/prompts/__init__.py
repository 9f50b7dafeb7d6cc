"""Prompt sources: which masks of a video become prompts, and in which order they are tracked."""

from sola.prompts.base import (
    WHOLE_VIDEO,
    KeptPrompts,
    PromptCounts,
    PromptedVideo,
    PromptSource,
    SettingsError,
    build_source,
)
from sola.prompts.grid import drop_parts, grid_frames, grid_prompts, keep_wholes
from sola.prompts.gt import ground_truth_prompts
from sola.prompts.selection import PromptQueue, leading_group, same_frame_group

__all__ = [
    "WHOLE_VIDEO",
    "KeptPrompts",
    "PromptCounts",
    "PromptQueue",
    "PromptSource",
    "PromptedVideo",
    "SettingsError",
    "build_source",
    "drop_parts",
    "grid_frames",
    "grid_prompts",
    "ground_truth_prompts",
    "keep_wholes",
    "leading_group",
    "same_frame_group",
]
