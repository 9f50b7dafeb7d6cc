from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch

from sola.datasets.moving_shapes.maker import FIRST_TRACKER_SEED
from tools.small_tracker.clips import Clip, ClipSource, batch_tracks
from tools.small_tracker.curriculum import CURRICULUM, Stage
from tools.small_tracker.heads import TrainingHeads
from tools.small_tracker.held_out import HELD_OUT_SEEDS
from tools.small_tracker.steps import TRAIN_SEEDS, draw_times, stage_loss
from tools.small_tracker.track_step import DecoderRecord, copy_task, run_tracks

# Told by SAM 2's forward pass: the memory takes no part in a step on single images, and the object
# score's fixed pointer and embedding matter only when an object is absent.
MEMORY_PARTS = ("memory_attention", "memory_encoder", "maskmem_tpos_enc", "obj_ptr_tpos_proj")
RARE_PARTS = ("no_obj_ptr", "no_obj_embed_spatial", "no_mem_pos_enc", "not_a_point_embed")


@pytest.mark.parametrize("stage", CURRICULUM, ids=lambda stage: stage.name)
def test_one_step_of_each_stage_gives_finite_gradients(
    stage: Stage, fresh_model: Any, heads: TrainingHeads, source: ClipSource
) -> None:
    rng = np.random.default_rng(1)
    loss, figures = stage_loss(fresh_model, heads, source, stage, 0, rng)
    loss.backward()
    assert torch.isfinite(loss)
    gradients = {n: p.grad for n, p in fresh_model.named_parameters() if p.grad is not None}
    assert all(torch.isfinite(gradient).all() for gradient in gradients.values())
    is_told = set(stage.passes) - {"track_motion"}  # motion: of evenly spaced clips alone
    assert is_told <= set(figures)
    missing = {
        name
        for name, _ in fresh_model.named_parameters()
        if name not in gradients and not _may_be_idle(name, stage)
    }
    assert not missing


def test_gradients_flow_from_later_frames_through_the_memory_into_the_first(
    fresh_model: Any, draw: Any
) -> None:
    batch = batch_tracks([draw(20_000_000 + k, [0, 1]) for k in range(2)])
    assert batch is not None
    outputs = run_tracks(fresh_model, fresh_model.forward_image(batch.images), batch)
    outputs[1]["pred_masks"].sum().backward()
    weights = fresh_model.memory_encoder.mask_downsampler.encoder[0].weight
    assert weights.grad.abs().sum() > 0


def test_copy_lesson_shows_another_clip_and_keeps_the_first_mask(
    fresh_model: Any, draw: Any
) -> None:
    clips = [draw(20_000_000 + k, [0, 5]) for k in range(3)]
    batch = batch_tracks(clips)
    assert batch is not None
    features = fresh_model.forward_image(batch.images)
    shuffled, copied = copy_task(features, batch)
    for level, new in zip(features["backbone_fpn"], shuffled["backbone_fpn"], strict=True):
        assert torch.equal(new[0], level[0])
        assert torch.equal(new[1], level[5])
    assert torch.equal(copied.masks[:, 1], batch.masks[:, 0])


def test_presence_is_overruled_only_while_it_is_recorded(fresh_model: Any, draw: Any) -> None:
    fresh_model.eval()
    batch = batch_tracks([draw(20_000_000, [0, 1])])
    assert batch is not None
    features = fresh_model.forward_image(batch.images)
    with DecoderRecord(fresh_model) as record:
        forced = run_tracks(fresh_model, features, batch, record=record)
    free = run_tracks(fresh_model, features, batch)
    assert len(record.answers) == batch.num_frames
    assert (forced[1]["object_score_logits"] == 10).all()
    assert not (free[1]["object_score_logits"] == 10).any()


def test_objects_hidden_on_the_first_frame_are_not_tracked() -> None:
    masks = np.zeros((2, 2, 32, 32), bool)
    masks[0, :, :16, :16] = True
    clip = Clip(np.zeros((2, 32, 32, 3), np.uint8), masks, np.array([[1, 2, 3], [4, 5, 6]]))
    batch = batch_tracks([clip])
    assert batch is not None
    assert batch.labels.tolist() == [[1, 2, 3]]
    empty = Clip(clip.frames, np.zeros_like(masks), clip.labels)
    assert batch_tracks([empty]) is None


def test_drawn_frames_lie_in_the_scene_and_reversed_clips_run_backwards() -> None:
    rng = np.random.default_rng(0)
    for length in (2, 4, 6, 8):
        for _ in range(200):
            times = draw_times(length, rng)
            assert len(times.frame_indices) == len(times.times) == length
            assert set(times.frame_indices) <= set(range(16))
            steps = np.diff(times.frame_indices)
            if times.stride:
                expected = -times.stride if times.is_reversed else times.stride
                assert (steps == expected).all()


def test_training_and_held_out_scenes_never_share_a_seed() -> None:
    assert max(HELD_OUT_SEEDS.values()) + 100_000 <= TRAIN_SEEDS[0] == FIRST_TRACKER_SEED
    firsts = sorted(HELD_OUT_SEEDS.values())
    assert all(b - a >= 10_000 for a, b in pairwise(firsts))


def _may_be_idle(name: str, stage: Stage) -> bool:
    if any(part in name for part in RARE_PARTS) or ".point_embeddings." in name:
        return True
    if "mask_downscaling" in name or name.startswith("mask_downsample."):
        return stage.lesson == "disc"
    return stage.lesson in ("disc", "images") and any(part in name for part in MEMORY_PARTS)
