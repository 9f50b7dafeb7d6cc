"""Networks that score tracks against an expression, their losses and their checkpoints."""

from sola.selector.base import Selector
from sola.selector.baseline import BaselineSelector
from sola.selector.losses import Loss, SelectionLoss
from sola.selector.track_selector import TrackSelector
from sola.selector.word_match import WordMatch

__all__ = ["BaselineSelector", "Loss", "SelectionLoss", "Selector", "TrackSelector", "WordMatch"]
