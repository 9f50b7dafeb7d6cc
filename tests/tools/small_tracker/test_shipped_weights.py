from typing import Any

import pytest
from omegaconf import OmegaConf

from tools.small_tracker.held_out import HELD_OUT_SEEDS, grid_figures, track_clips
from tools.small_tracker.model import CONFIG_PATH, REPOSITORY, build_small_tracker


@pytest.fixture(scope="module")
def config() -> Any:
    return OmegaConf.to_container(OmegaConf.load(CONFIG_PATH))


@pytest.fixture(scope="module")
def model(config: Any) -> Any:
    return build_small_tracker(checkpoint=REPOSITORY / config["checkpoint"])


def test_the_small_tracker_has_3_2_million_parameters_and_small_weights(
    model: Any, config: Any
) -> None:
    assert sum(parameter.numel() for parameter in model.parameters()) == 3_213_602
    assert model.hidden_dim == config["token_dim"]
    assert (REPOSITORY / config["checkpoint"]).stat().st_size < 8e6


def test_missing_weights_are_named_with_the_command_that_makes_them() -> None:
    with pytest.raises(ValueError, match="python -m sola"):
        build_small_tracker(checkpoint=REPOSITORY / "no_such.pt")


def test_the_shipped_weights_track_held_out_objects(model: Any, draw: Any) -> None:
    first = HELD_OUT_SEEDS["tracking"] + 1000
    tracked = track_clips(model, draw, range(first, first + 6))
    assert tracked.track_iou.mean() > 0.75
    assert tracked.pointers.shape[-1] == 128


def test_the_automatic_grid_finds_most_held_out_objects(model: Any, draw: Any, config: Any) -> None:
    first = HELD_OUT_SEEDS["grid"] + 1000
    figures = grid_figures(model, draw, range(first, first + 20), config["mask_generator"])
    assert figures["recall"] > 0.8
    assert figures["precision"] > 0.5  # low thresholds: parts and duplicates go later
