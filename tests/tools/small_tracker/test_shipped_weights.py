from pathlib import Path
from typing import Any

import pytest

from sola.errors import UserError
from tools.small_tracker.held_out import HELD_OUT_SEEDS, grid_figures, track_clips
from tools.small_tracker.model import (
    WEIGHTS_PATH,
    build_small_tracker,
    mask_generator_options,
)

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def model() -> Any:
    return build_small_tracker(WEIGHTS_PATH)


def test_shipped_network_has_3_2_million_parameters_and_small_weights(model: Any) -> None:
    assert sum(parameter.numel() for parameter in model.parameters()) == 3_213_602
    assert model.hidden_dim == 128
    assert WEIGHTS_PATH.stat().st_size < 8e6


def test_missing_weights_are_named_with_the_training_command(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="python -m tools"):
        build_small_tracker(tmp_path / "no_such.pt")


def test_shipped_weights_track_held_out_objects(model: Any, draw: Any) -> None:
    first = HELD_OUT_SEEDS["tracking"] + 1000
    tracked = track_clips(model, draw, range(first, first + 6))
    assert tracked.track_iou.mean() > 0.75
    assert tracked.pointers.shape[-1] == 128


def test_automatic_grid_finds_most_held_out_objects(model: Any, draw: Any) -> None:
    first = HELD_OUT_SEEDS["grid"] + 1000
    figures = grid_figures(model, draw, range(first, first + 20), mask_generator_options())
    assert figures["recall"] > 0.8
    assert figures["precision"] > 0.5  # low thresholds: parts and duplicates go later
