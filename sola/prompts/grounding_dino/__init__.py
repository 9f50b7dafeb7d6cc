"""GroundingDINO, a detector of boxes for sentences.

The network comes from transformers or from the original code (an extra); both give the same boxes.
"""

from sola.prompts.base import Detections, Detector
from sola.prompts.grounding_dino.grounding_dino import GroundingDino, NetworkShape

__all__ = ["Detections", "Detector", "GroundingDino", "NetworkShape"]
