"""Tracks match those of upstream's predictors."""

import contextlib
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from small_tracker import LEGACY, OFFICIAL, small_model

from sola.datasets.moving_shapes.scene import SceneSettings, make_scene
from sola.masks import decode, encode
from sola.trackers import Propagated
from sola.trackers.sam2.propagation import VideoTracker

NUM_FRAMES = 6


@pytest.fixture(scope="module")
def scene_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Frames of one scene as JPEG files, which is what upstream's predictors read."""
    folder = tmp_path_factory.mktemp("frames")
    scene = make_scene(1, SceneSettings(), range(NUM_FRAMES))
    for idx, frame in enumerate(scene.frames):
        Image.fromarray(frame).save(folder / f"{idx:05d}.jpg", quality=95)
    return folder


@pytest.fixture(scope="module")
def frames(scene_dir: Path) -> np.ndarray:
    return np.stack([np.asarray(Image.open(path)) for path in sorted(scene_dir.iterdir())])


def _masks(frame_idx: int) -> np.ndarray:
    scene = make_scene(1, SceneSettings(), range(NUM_FRAMES))
    return scene.masks[[1, 2, 4], frame_idx]


def _upstream(target: str, scene_dir: Path, frame_idx: int, masks: np.ndarray) -> Propagated:
    """What a predictor of sam2 itself gives, driven as its own examples do."""
    model = small_model(target)
    logits = {}
    with torch.inference_mode(), contextlib.redirect_stderr(io.StringIO()):
        state = model.init_state(str(scene_dir))
        for object_idx, mask in enumerate(masks):
            model.add_new_mask(state, frame_idx, object_idx, mask)
        for reverse in (False, True):
            for index, _, values in model.propagate_in_video(state, frame_idx, reverse=reverse):
                logits[index] = values[:, 0] > 0
    per_object = [state["output_dict_per_obj"][idx] for idx in range(len(masks))]
    frames = [out["cond_frame_outputs"] | out["non_cond_frame_outputs"] for out in per_object]
    order = range(NUM_FRAMES)
    return Propagated(
        masklets=tuple(
            encode(torch.stack([logits[t][k] for t in order]).numpy()) for k in range(len(masks))
        ),
        object_tokens=np.stack([[out[t]["obj_ptr"][0].numpy() for t in order] for out in frames]),
        object_scores=np.stack(
            [[out[t]["object_score_logits"].item() for t in order] for out in frames]
        ),
    )


def _ours(frames: np.ndarray, frame_idx: int) -> Propagated:
    tracker = VideoTracker(small_model(), frames)
    tracker.propagate(3, _masks(3)[:2])  # what was tracked before leaves no trace
    return tracker.propagate(frame_idx, _masks(frame_idx))


def _decoded(result: Propagated) -> np.ndarray:
    """(n, T, H, W) bool."""
    return np.stack([decode(masklet) for masklet in result.masklets])


@pytest.mark.parametrize("frame_idx", [0, 2, NUM_FRAMES - 1])
def test_tracks_equal_the_batched_predictor_bit_for_bit(
    scene_dir: Path, frames: np.ndarray, frame_idx: int
) -> None:
    ours = _ours(frames, frame_idx)
    theirs = _upstream(LEGACY, scene_dir, frame_idx, _masks(frame_idx))
    assert _decoded(ours).any(axis=(2, 3)).mean() > 0.5, "empty tracks: nothing is compared"
    assert ours.masklets == theirs.masklets
    np.testing.assert_array_equal(ours.object_tokens, theirs.object_tokens)
    np.testing.assert_array_equal(ours.object_scores, theirs.object_scores)


def test_tracks_equal_the_official_predictor_up_to_rounding(
    scene_dir: Path, frames: np.ndarray
) -> None:
    ours = _ours(frames, 2)
    theirs = _upstream(OFFICIAL, scene_dir, 2, _masks(2))
    assert (_decoded(ours) != _decoded(theirs)).mean() < 1e-4
    scale = np.abs(theirs.object_tokens).max()
    # memories are bfloat16 also in float32 runs: one of them may round the other way
    assert np.abs(ours.object_tokens - theirs.object_tokens).max() < 0.02 * scale


def _count_encoded(tracker: VideoTracker) -> list[int]:
    """Grows by one for each run of the tracker's image encoder."""
    runs: list[int] = []
    tracker.model.image_encoder.register_forward_hook(lambda *_: runs.append(1))
    return runs


def test_each_frame_is_encoded_once_for_all_prompts(frames: np.ndarray) -> None:
    tracker = VideoTracker(small_model(), frames)
    runs = _count_encoded(tracker)
    for frame_idx in (0, 2, 5):
        tracker.propagate(frame_idx, _masks(frame_idx))
    assert len(runs) == NUM_FRAMES


@pytest.mark.parametrize("budget_mib", [0, 0.5])
def test_budget_for_features_changes_no_result(frames: np.ndarray, budget_mib: float) -> None:
    rich = VideoTracker(small_model(), frames)
    poor = VideoTracker(small_model(), frames, feature_budget_mib=budget_mib)
    runs = _count_encoded(poor)
    for frame_idx in (4, 1):
        expected = rich.propagate(frame_idx, _masks(frame_idx))
        found = poor.propagate(frame_idx, _masks(frame_idx))
        assert found.masklets == expected.masklets
        np.testing.assert_array_equal(found.object_tokens, expected.object_tokens)
    assert NUM_FRAMES < len(runs) <= 4 * NUM_FRAMES


def test_old_memories_are_dropped() -> None:
    frames = make_scene(1, SceneSettings(num_frames=40)).frames
    model = small_model()
    held: list[int] = []

    class Counted(VideoTracker):
        def _forget(self, history: dict[str, Any], frame_idx: int, prompt_frame: int) -> None:
            super()._forget(history, frame_idx, prompt_frame)
            outputs = history["non_cond_frame_outputs"].values()
            held.append(sum(out["maskmem_features"] is not None for out in outputs))
            assert not any("pred_masks" in out for out in outputs)

    Counted(model, frames).propagate(20, make_scene(1, SceneSettings(), [0]).masks[:1, 0])
    assert len(held) == 39
    # those just passed, and the first of the forward pass, with which the backward pass begins
    assert max(held) <= 3 * model.num_maskmem


def test_frames_of_another_size_give_masks_of_that_size() -> None:
    tracker = VideoTracker(small_model(), np.zeros((1, 50, 71, 3), np.uint8))
    mask = np.zeros((1, 50, 71), bool)
    mask[0, 10:30, 20:40] = True
    result = tracker.propagate(0, mask)
    assert _decoded(result).shape == (1, 1, 50, 71)
    assert result.object_tokens.shape == (1, 1, 128)
