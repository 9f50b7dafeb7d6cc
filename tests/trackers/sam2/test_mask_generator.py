"""Automatic masks equal those of upstream's generator bit for bit."""

import dataclasses
import itertools

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from pretend_gpu import PretendGpu
from sam2.automatic_mask_generator import SAM2AutomaticMaskGenerator
from sam2.modeling.sam2_base import SAM2Base
from small_tracker import small_model

from sola.config import compose
from sola.datasets.moving_shapes.scene import SceneSettings, make_scene
from sola.masks import boxes, decode, encode
from sola.trackers import GeneratedMask
from sola.trackers.sam2 import MaskGeneratorConfig, Sam2Tracker
from sola.trackers.sam2.mask_generator import MaskGenerator, _boxes, _upsample

# so low that tens of masks are left, many of them alike
MANY = MaskGeneratorConfig(
    points_per_side=10,
    points_per_batch=32,
    pred_iou_thresh=0.05,
    stability_score_thresh=0.2,
    box_nms_thresh=0.95,
)


@pytest.fixture(scope="module")
def model() -> SAM2Base:
    return small_model()


def _frame(seed: int, height: int, width: int) -> np.ndarray:
    scene = make_scene(seed, SceneSettings(frame_size_px=max(height, width)), [seed])
    return scene.frames[0, :height, :width]


def _upstream(model: SAM2Base, config: MaskGeneratorConfig, frame: np.ndarray) -> list[dict]:
    generator = SAM2AutomaticMaskGenerator(model, **dataclasses.asdict(config))
    sizes = [(model.image_size // stride,) * 2 for stride in (4, 8, 16)]
    generator.predictor._bb_feat_sizes = sizes
    return generator.generate(frame)


def _assert_equal(ours: list[GeneratedMask], theirs: list[dict]) -> None:
    assert len(ours) == len(theirs)
    for mask, record in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(decode([mask.mask])[0], record["segmentation"])
        assert mask.predicted_iou == record["predicted_iou"]
        np.testing.assert_equal(mask.stability_score, record["stability_score"])  # nan is nan


@pytest.mark.parametrize(("height", "width"), [(128, 128), (96, 160), (60, 40)])
def test_masks_scores_and_their_order_match_upstream(
    model: SAM2Base, height: int, width: int
) -> None:
    frame = _frame(1, height, width)
    theirs = _upstream(model, MANY, frame)
    assert len(theirs) >= 20, "too few masks are left: little is compared"
    _assert_equal(MaskGenerator(model, MANY).generate(frame), theirs)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"multimask_output": False},
        {"points_per_side": 5, "points_per_batch": 8},  # the last batch has a single point
        {"pred_iou_thresh": 0.0, "stability_score_thresh": 0.0, "box_nms_thresh": 1.0},
        {"stability_score_offset": 0.3, "stability_score_thresh": 0.9},
    ],
    ids=str,
)
def test_each_option_matches_upstream(model: SAM2Base, changes: dict[str, float]) -> None:
    config = dataclasses.replace(MANY, **changes)
    frame = _frame(4, 96, 128)
    theirs = _upstream(model, config, frame)
    assert theirs
    _assert_equal(MaskGenerator(model, config).generate(frame), theirs)


def test_shipped_thresholds_match_upstream() -> None:
    tracker = compose("generate", ["split=train", "paths.output_dir=."]).tracker
    model, config = tracker.build(), tracker.mask_generator
    ours = MaskGenerator(model, config).generate(_frame(5, 128, 128))
    assert ours
    _assert_equal(ours, _upstream(model, config, _frame(5, 128, 128)))


@pytest.mark.parametrize("chunk_pixels", [1, 3 * 96 * 160])
def test_masks_do_not_depend_on_how_many_are_resized_together(
    model: SAM2Base, monkeypatch: pytest.MonkeyPatch, chunk_pixels: int
) -> None:
    frame = _frame(2, 96, 160)
    expected = MaskGenerator(model, MANY).generate(frame)
    monkeypatch.setattr("sola.trackers.sam2.mask_generator.CHUNK_PIXELS", chunk_pixels)
    assert MaskGenerator(model, MANY).generate(frame) == expected


def test_some_logits_are_resized_as_all_of_them_are() -> None:
    generator = torch.Generator().manual_seed(0)
    for channels, size in itertools.product((1, 3), ((96, 160), (128, 128), (50, 40))):
        logits = torch.randn(4, channels, 32, 32, generator=generator)
        expected = F.interpolate(logits, size, mode="bilinear", align_corners=False).flatten(0, 1)
        for kept in ([1], [0, 2, 3], list(range(4 * channels))):
            found = _upsample(logits.flatten(0, 1)[kept], size, channels)
            assert torch.equal(found, expected[kept])


def test_a_gpu_gives_the_same_masks_and_waits_for_batches_only(
    model: SAM2Base, gpu: PretendGpu, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame, waits = _frame(2, 96, 160), []
    expected = MaskGenerator(model, MANY).generate(frame)
    generator = MaskGenerator(small_model().to("cuda"), MANY)
    for chunk_pixels in (1, 2**22):
        monkeypatch.setattr("sola.trackers.sam2.mask_generator.CHUNK_PIXELS", chunk_pixels)
        with gpu.region(f"{chunk_pixels}") as counts:
            assert generator.generate(frame) == expected
        waits.append(counts.waits.total())
    num_batches = 4
    assert max(waits) <= 2 * num_batches + 4


def test_no_mask_on_a_gpu_is_valid(gpu: PretendGpu) -> None:
    config = dataclasses.replace(MANY, pred_iou_thresh=1.0)
    assert MaskGenerator(small_model().to("cuda"), config).generate(_frame(1, 96, 160)) == []


def test_boxes_equal_those_of_run_length_codes() -> None:
    masks = torch.rand(9, 7, 11, generator=torch.Generator().manual_seed(0)) < 0.03
    masks[0], masks[1] = False, True
    pixels = masks.view(torch.uint8)
    found = _boxes(pixels.amax(1), pixels.amax(2))
    np.testing.assert_array_equal(found, boxes(encode(masks.numpy())))


@pytest.mark.parametrize("key", ["pred_iou_thresh", "stability_score_thresh"])
def test_no_mask_above_the_thresholds_is_valid(model: SAM2Base, key: str) -> None:
    config = dataclasses.replace(MANY, **{key: 1.0})
    frame = _frame(1, 96, 160)
    assert _upstream(model, config, frame) == []
    assert MaskGenerator(model, config).generate(frame) == []


def test_masks_under_autocast_match_upstream(model: SAM2Base) -> None:
    frame = _frame(1, 96, 160)
    with torch.autocast("cpu", torch.bfloat16):
        theirs = _upstream(model, MANY, frame)
        assert len(theirs) >= 20, "too few masks are left: little is compared"
        _assert_equal(MaskGenerator(model, MANY).generate(frame), theirs)


@pytest.mark.slow
def test_masks_of_a_packaged_network_match_upstream() -> None:
    torch.manual_seed(0)
    model = Sam2Tracker("tiny", "sam2.1/sam2.1_hiera_t.yaml", "random").build()
    # with random weights all logits are near 0 and all boxes near the whole frame
    config = MaskGeneratorConfig(
        points_per_side=4,
        pred_iou_thresh=0.5,
        stability_score_thresh=0.3,
        stability_score_offset=0.02,
        box_nms_thresh=1.0,
    )
    frame = _frame(1, 90, 160)
    theirs = _upstream(model, config, frame)
    assert 10 <= len(theirs) < 48, "no mask is left, or no threshold is at work"
    _assert_equal(MaskGenerator(model, config).generate(frame), theirs)
