"""Boxes of GroundingDINO for the expressions of a video, as prompts.

The network is that of transformers or, as an extra, that of the original code; both read both
kinds of checkpoint and answer the same.
"""

from sola.prompts.grounding_dino.build import GroundingDino
from sola.prompts.grounding_dino.detections import Detections
from sola.prompts.grounding_dino.detector import Detector
from sola.prompts.grounding_dino.prompts import expression_prompts, keep_likely, keep_stable
from sola.prompts.grounding_dino.shape import NetworkShape

__all__ = [
    "Detections",
    "Detector",
    "GroundingDino",
    "NetworkShape",
    "expression_prompts",
    "keep_likely",
    "keep_stable",
]
