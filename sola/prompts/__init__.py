"""Prompt sources: which masks of a video become prompts, and in which order they are tracked."""

from sola.prompts.grid import drop_parts, grid_frames, grid_prompts, keep_wholes
from sola.prompts.ground_truth import ground_truth_prompts
from sola.prompts.selection import PromptQueue

__all__ = [
    "PromptQueue",
    "drop_parts",
    "grid_frames",
    "grid_prompts",
    "ground_truth_prompts",
    "keep_wholes",
]
