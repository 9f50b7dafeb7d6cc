"""Weights that are cast once give what autocast gives, which casts them at every call."""

import numpy as np
import pytest
import torch
from pretend_gpu import PretendGpu
from small_tracker import loaded, small_model, small_tracker

from sola.datasets.moving_shapes.scene import SceneSettings, make_scene
from sola.trackers.base import Propagated
from sola.trackers.sam2.builder import with_cast_weights
from sola.trackers.sam2.mask_generator import MaskGenerator
from sola.trackers.sam2.propagation import VideoTracker
from sola.trackers.sam2.tracker import MaskGeneratorConfig

SCENE = make_scene(1, SceneSettings(num_frames=3), range(3))
CONFIG = MaskGeneratorConfig(points_per_side=3, pred_iou_thresh=0.1, stability_score_thresh=0.2)
BOX = np.array([[20, 20, 70, 70]], np.float32)


def _track(model: torch.nn.Module) -> Propagated:
    masks = np.zeros((2, *SCENE.frames[0].shape[:2]), bool)
    masks[0, 20:60, 20:60] = masks[1, 50:90, 60:100] = True
    return VideoTracker(model, list(SCENE.frames)).propagate(1, masks)


@pytest.mark.parametrize(
    ("device", "dtype"),
    [("cpu", torch.bfloat16), ("cuda", torch.bfloat16), ("cuda", torch.float16)],
)
def test_tracks_and_automatic_masks_are_the_same_bit_for_bit(
    gpu: PretendGpu, device: str, dtype: torch.dtype
) -> None:
    found = []
    for model in (small_model(), with_cast_weights(small_model(), dtype)):
        model.to(device)
        with torch.autocast(device, dtype, cache_enabled=False), gpu.region(f"{id(model)}") as run:
            tracks = _track(model)
            found.append((tracks, MaskGenerator(model, CONFIG).generate(SCENE.frames[0])))
    (tracks, masks), (own_tracks, own_masks) = found
    np.testing.assert_array_equal(own_tracks.object_tokens, tracks.object_tokens)
    np.testing.assert_array_equal(own_tracks.object_scores, tracks.object_scores)
    assert own_tracks.masklets == tracks.masklets
    assert own_masks == masks
    assert masks
    assert run.casts["weight"] == 0


def test_a_tracker_loaded_under_autocast_casts_weights_once_but_not_for_boxes() -> None:
    with torch.autocast("cpu", torch.bfloat16):
        tracker = loaded(small_tracker())
        session = tracker.open(SCENE.frames)
        found = session.masks_of_boxes(0, BOX)
    assert torch.bfloat16 in {weight.dtype for weight in session.model.parameters()}
    assert found == loaded(small_tracker()).open(SCENE.frames).masks_of_boxes(0, BOX)
