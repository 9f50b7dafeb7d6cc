"""Weights under the parameter names of the published implementation."""

from torch import Tensor

from sola.selector.track_selector import TrackSelector, reference_names


def reference_state_dict(selector: TrackSelector) -> dict[str, Tensor]:
    """The content of an ``epoch_N.pth``."""
    weights = selector.state_dict()
    weights["temporal_frequencies"] = weights["temporal_frequencies"][None]
    return {theirs: weights[ours] for theirs, ours in reference_names(len(selector.layers)).items()}
