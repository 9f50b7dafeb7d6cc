"""A compiled tracker gives the tracks of the plain one, and compiles no more once it is warm."""

from typing import Any

import numpy as np
import pytest
import torch
from small_tracker import small_model

from sola.datasets.moving_shapes.scene import SceneSettings, make_scene
from sola.masks import decode
from sola.trackers.sam2.compiled import compile_parts, warm_up
from sola.trackers.sam2.propagation import VideoTracker


def _num_graphs() -> int:
    return int(torch._dynamo.utils.counters["stats"]["unique_graphs"])


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_compiled_tracker_gives_the_same_tracks_up_to_rounding() -> None:
    plain, compiled = small_model(), small_model()
    compile_parts(compiled)
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    assert warm_up(compiled) > 0
    num_graphs = _num_graphs()
    # trunk, two parts of the memory encoder, memory attention, mask decoder; one and more objects
    assert 5 <= num_graphs <= 10
    scene = make_scene(1, SceneSettings(num_frames=9))

    for frame_idx, num_objects in ((0, 4), (5, 1), (8, 2), (4, 5)):
        masks = scene.masks[:num_objects, frame_idx]
        expected, found = (
            VideoTracker(model, list(scene.frames)).propagate(frame_idx, masks)
            for model in (plain, compiled)
        )
        differ = _decoded(found) != _decoded(expected)
        assert _decoded(expected).any(axis=(2, 3)).mean() > 0.5, "nothing is compared"
        assert differ.mean() < 1e-4
        scale = np.abs(expected.object_tokens).max()
        # memories are bfloat16 also in float32 runs: one of them may round the other way
        assert np.abs(found.object_tokens - expected.object_tokens).max() < 0.02 * scale
    assert _num_graphs() == num_graphs, "compiled again"


def test_without_a_compiler_the_message_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "no_such_compiler")
    with pytest.raises(ValueError, match=r"no_such_compiler, .* name another one in CXX"):
        compile_parts(small_model())


def _decoded(result: Any) -> np.ndarray:
    """(n, T, H, W) bool."""
    return np.stack([decode(masklet) for masklet in result.masklets])
