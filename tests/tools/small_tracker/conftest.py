from collections.abc import Sequence
from typing import Any

import pytest
import torch

from sola.datasets.moving_shapes import scene
from tools.small_tracker.clips import PLAIN, Clip, ClipSource, Vocabulary
from tools.small_tracker.heads import TrainingHeads
from tools.small_tracker.initialisation import set_start_values
from tools.small_tracker.model import build_small_tracker


@pytest.fixture(scope="session")
def vocabulary() -> Vocabulary:
    return Vocabulary(scene.SHAPES, tuple(scene.COLOURS), scene.MOTIONS)


@pytest.fixture(scope="session")
def source(vocabulary: Vocabulary) -> ClipSource:
    return ClipSource(
        scene.make_scene, scene.SceneSettings(**PLAIN), scene.SceneSettings(), vocabulary
    )


@pytest.fixture(scope="session")
def draw(source: ClipSource) -> Any:
    def draw_easy(seed: int, indices: Sequence[int]) -> Clip:
        return source.draw(seed, indices, is_easy=True)

    return draw_easy


@pytest.fixture
def fresh_model() -> Any:
    torch.manual_seed(0)
    model = build_small_tracker()
    set_start_values(model)
    return model.train()


@pytest.fixture
def heads(fresh_model: Any, vocabulary: Vocabulary) -> TrainingHeads:
    return TrainingHeads(fresh_model.hidden_dim, vocabulary)
