"""Masks of boxes, by the small tracker."""

import numpy as np
import pytest
import torch
from pretend_gpu import PretendGpu
from small_tracker import small_model

from sola.datasets.moving_shapes.scene import SceneSettings, make_scene
from sola.masks import decode
from sola.trackers import GeneratedMask
from sola.trackers.sam2 import MaskGeneratorConfig
from sola.trackers.sam2.mask_generator import MaskGenerator, stability_score


@pytest.fixture(scope="module")
def masker() -> MaskGenerator:
    return MaskGenerator(small_model(), MaskGeneratorConfig())


@pytest.fixture(scope="module")
def frame() -> np.ndarray:
    frames: np.ndarray = make_scene(1, SceneSettings(), range(1)).frames
    return frames[0]


def _boxes(num_boxes: int) -> np.ndarray:
    corners = np.random.default_rng(0).integers(0, 64, (num_boxes, 2))
    return np.concatenate([corners, corners + 40], axis=1).astype(np.float32)


def _pixels(found: GeneratedMask) -> np.ndarray:
    return decode([found.mask])[0]


def test_stability_is_the_iou_of_a_strict_and_a_lax_mask() -> None:
    assert stability_score(1, 3) == pytest.approx(1 / 3)
    assert stability_score(0, 0) == 0


def test_mask_does_not_depend_on_the_other_boxes(masker: MaskGenerator, frame: np.ndarray) -> None:
    boxes = _boxes(70)  # more than a batch
    together = masker.masks_of(frame, boxes)

    assert len(together) == 70
    assert any(_pixels(item).any() for item in together)
    for idx in (0, 69):
        (alone,) = masker.masks_of(frame, boxes[[idx]])
        assert (_pixels(alone) != _pixels(together[idx])).mean() < 1e-3
        assert alone.predicted_iou == pytest.approx(together[idx].predicted_iou, abs=1e-4)
        assert alone.stability_score == pytest.approx(together[idx].stability_score, abs=1e-2)
        assert 0 <= alone.stability_score <= 1


def test_frame_is_encoded_once_for_all_boxes(
    masker: MaskGenerator, frame: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, encoded = masker.predictor.model, []
    forward_image = model.forward_image

    def count(image: torch.Tensor) -> object:
        encoded.append(image.shape)
        return forward_image(image)

    monkeypatch.setattr(model, "forward_image", count)
    masker.masks_of(frame, _boxes(70))

    assert len(encoded) == 1


def test_masks_have_the_size_of_the_frame(masker: MaskGenerator) -> None:
    (found,) = masker.masks_of(np.zeros((50, 71, 3), np.uint8), np.array([[5.0, 5, 40, 40]]))

    assert found.mask["size"] == [50, 71]


def test_masks_and_scores_are_upstreams_and_stability_is_of_its_low_resolution_logits(
    masker: MaskGenerator, frame: np.ndarray
) -> None:
    boxes = _boxes(4)
    found = masker.masks_of(frame, boxes)

    masker.predictor.set_image(frame)
    full, ious, low_res = masker.predictor.predict(
        box=boxes, multimask_output=False, return_logits=True
    )
    np.testing.assert_array_equal([_pixels(item) for item in found], full[:, 0] > 0)
    assert [item.predicted_iou for item in found] == ious[:, 0].tolist()
    strict, lax = (low_res > 1).sum(axis=(1, 2, 3)), (low_res > -1).sum(axis=(1, 2, 3))
    assert low_res.shape[-1] < frame.shape[1]
    np.testing.assert_allclose([item.stability_score for item in found], strict / lax, rtol=1e-12)


def test_masks_are_made_without_autocast(masker: MaskGenerator, frame: np.ndarray) -> None:
    boxes = _boxes(4)
    plain = masker.masks_of(frame, boxes)
    with torch.autocast("cpu", torch.bfloat16):
        under_autocast = masker.masks_of(frame, boxes)

    for one, other in zip(plain, under_autocast, strict=True):
        assert one.mask == other.mask
        assert one.stability_score == other.stability_score
        assert one.predicted_iou == other.predicted_iou


def test_a_gpu_gives_the_same_masks_and_is_waited_for_once_per_batch(
    masker: MaskGenerator, frame: np.ndarray, gpu: PretendGpu
) -> None:
    boxes = _boxes(4)
    expected = masker.masks_of(frame, boxes)
    own = MaskGenerator(small_model().to("cuda"), MaskGeneratorConfig())
    with gpu.region("boxes") as counts:
        assert own.masks_of(frame, boxes) == expected
    assert counts.waits.total() <= 2  # one is for the image
