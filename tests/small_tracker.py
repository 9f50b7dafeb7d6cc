"""The small tracker, for tests that need no configuration."""

from typing import Any

import torch

from sola.trackers import Tracker
from sola.trackers.sam2 import Sam2Tracker
from sola.trackers.sam2.builder import NETWORK

OFFICIAL = "sam2.sam2_video_predictor.SAM2VideoPredictor"
LEGACY = "sam2.sam2_video_predictor_legacy.SAM2VideoPredictor"


def small_tracker(**changes: Any) -> Sam2Tracker:
    """A tracker with the shipped weights, not loaded yet."""
    values = {
        "name": "small",
        "network": "pkg://sola.trackers.small/network.yaml",
        "checkpoint": "pkg://sola.trackers.small/small_tracker.pt",
        "token_dim": 128,
    }
    return Sam2Tracker(**(values | changes))


def small_model(target: str = NETWORK) -> Any:
    """Its network with the shipped weights, as SAM2Base or another class of sam2."""
    return small_tracker().build(target)


def loaded(tracker: Tracker) -> Tracker:
    """The same tracker, with its weights on the CPU."""
    tracker.load(torch.device("cpu"), 0)
    return tracker
