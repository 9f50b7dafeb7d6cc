"""Networks that score tracks against an expression, their losses and their checkpoints."""

from sola.selector.base import Selector, build_selector, check_output, check_selector
from sola.selector.track_selector import TrackSelector

__all__ = ["Selector", "TrackSelector", "build_selector", "check_output", "check_selector"]
