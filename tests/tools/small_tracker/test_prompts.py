import numpy as np
import torch

from tools.small_tracker.clips import Clip
from tools.small_tracker.prompts import PromptMix, draw_prompts, first_frame_prompts, random_box


def clip_of(*masks: np.ndarray) -> Clip:
    stacked = np.stack(masks)[:, None]
    frames = np.zeros((1, *stacked.shape[-2:], 3), np.uint8)
    return Clip(frames, stacked, np.zeros((len(masks), 3), np.int64))


def block(x: int, y: int, side: int = 10) -> np.ndarray:
    mask = np.zeros((32, 32), bool)
    mask[y : y + side, x : x + side] = True
    return mask


def test_points_lie_on_their_target_and_background_points_on_no_object() -> None:
    clip = clip_of(block(2, 2), block(18, 18))
    rng = np.random.default_rng(0)
    (group,) = draw_prompts([clip], 0, rng, PromptMix(background=0.4, point=0.6, box=0.0), 60)
    assert {-1, 0, 1} == set(group.object_idx)
    for corner, item in zip(group.corners, group.object_idx, strict=True):
        x, y = corner[0].astype(int)
        on_object = [bool(mask[0, y, x]) for mask in clip.masks]
        assert on_object == [item == 0, item == 1]


def test_image_without_visible_objects_gets_only_background_points() -> None:
    clip = clip_of(block(0, 0, side=2))
    groups = draw_prompts([clip], 0, np.random.default_rng(0), PromptMix(), 5)
    assert [(group.kind, set(group.object_idx)) for group in groups] == [("point", {-1})]


def test_batch_of_only_mask_prompts_is_one_group() -> None:
    mix = PromptMix(background=0.0, point=0.0, box=0.0)
    (group,) = draw_prompts([clip_of(block(2, 2))], 0, np.random.default_rng(0), mix, 3)
    assert group.kind == "mask"
    points, labels = group.coordinates()
    assert points.shape == (3, 1, 2)
    assert labels.tolist() == [[-1]] * 3


def test_jittered_box_stays_near_the_mask_and_in_the_frame() -> None:
    rng = np.random.default_rng(0)
    boxes = np.stack([random_box(block(0, 12), rng) for _ in range(50)])
    assert boxes.min() >= 0
    assert np.abs(boxes - [[0, 12], [10, 22]]).max() <= 0.8 + 1e-6


def test_first_frame_prompts_have_sam_2_s_labels() -> None:
    masks = torch.from_numpy(np.stack([block(2, 2), block(18, 18)]))[:, None].float()
    rng = np.random.default_rng(0)
    assert first_frame_prompts(masks, "point", rng)["point_labels"].tolist() == [[1], [1]]
    boxes = first_frame_prompts(masks, "box", rng)
    assert boxes["point_labels"].tolist() == [[2, 3], [2, 3]]
    assert boxes["point_coords"].shape == (2, 2, 2)
