"""A small network of each class of selector, for the guarantees that all of them give."""

from collections.abc import Callable
from typing import Any

import torch

from sola.selector import BaselineSelector, Selector, TrackSelector, WordMatch

SMALL: dict[str, tuple[Callable[..., Selector], dict[str, Any]]] = {
    "TrackSelector": (TrackSelector, {"num_heads": 2, "num_negatives": 3, "num_groups": 4}),
    "WordMatch": (WordMatch, {"dim": 16, "match_dim": 8, "num_heads": 2}),
    "BaselineSelector": (BaselineSelector, {"hidden_dim": 4}),
}
"""Class and arguments by name."""
SEE_MOTION = ("TrackSelector", "WordMatch")
"""Those whose scores depend on the order of frames."""


def make_selector(name: str, token_dim: int = 8, text_dim: int = 16) -> Selector:
    """Return a small network with seeded weights, in training mode."""
    torch.manual_seed(0)
    make, kwargs = SMALL[name]
    return make(token_dim, text_dim, **kwargs)


TRAINED = {
    "BaselineSelector": ("selector=baseline",),
    "WordMatch": (
        *("selector=word_match", "selector.dim=16", "selector.match_dim=8"),
        "selector.num_heads=2",
    ),
}
"""Words of train.py's command line for networks other than the default, by name."""
