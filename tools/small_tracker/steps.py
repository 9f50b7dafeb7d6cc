"""Training step of each lesson: draw clips, run the model, sum the losses."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tools.small_tracker.clips import (
    SCENE_FRAMES,
    Clip,
    ClipSource,
    TrackBatch,
    batch_tracks,
    normalise,
)
from tools.small_tracker.curriculum import Stage
from tools.small_tracker.heads import Figures, TrainingHeads
from tools.small_tracker.image_step import image_losses
from tools.small_tracker.track_step import (
    DecoderRecord,
    copy_task,
    pointer_track_losses,
    run_tracks,
    track_losses,
)

TRAIN_SEEDS = (10_000_000, 2**31)
"""Range of the scenes' seeds in training; all lower seeds are held out."""
IMAGES_PER_STEP = 12
FRAMES_PER_STEP = 20
PROMPT_KINDS = ("mask", "mask", "mask", "point", "box")
REVERSED_SHARE = 0.25
GAP_SHARE = 0.2


@dataclass(frozen=True)
class Times:
    """Frames of a scene that make up a clip."""

    frame_indices: list[int]
    """Indices of the frames in the scene."""
    times: list[int]
    """Frame numbers passed to the model."""
    stride: int
    """Scene frames between two frames of the clip; 0: uneven spacing."""
    is_reversed: bool = False


def stage_loss(
    model: Any,
    heads: TrainingHeads,
    source: ClipSource,
    stage: Stage,
    step: int,
    rng: np.random.Generator,
) -> tuple[Tensor, Figures]:
    """Return loss and metrics of one step of a stage; ``rng`` is the only source of randomness."""
    is_easy = bool(rng.random() < stage.easy_share)
    if stage.lesson in ("disc", "images") or rng.random() < stage.image_share:
        clips = _draw_clips(source, rng, IMAGES_PER_STEP, None, is_easy=is_easy)
        return _image_step(model, heads, clips, stage, rng)
    length = stage.clip_lengths[step % len(stage.clip_lengths)]
    is_copy = stage.lesson == "copy"
    times = draw_times(length, rng)
    batch = None
    while batch is None:
        clips = _draw_clips(
            source, rng, max(2, FRAMES_PER_STEP // length), times.frame_indices, is_easy=is_easy
        )
        batch = batch_tracks(clips, rng, max_per_clip=3)
    return _clip_step(model, heads, clips, batch, times, stage, rng, is_copy=is_copy)


def draw_times(length: int, rng: np.random.Generator) -> Times:
    """Draw frames of a scene: evenly spaced, reversed, or with a gap after the prompt."""
    if length > 2 and rng.random() < GAP_SHARE:
        first = int(rng.integers(1, SCENE_FRAMES - length + 2))
        indices = [0, *range(first, first + length - 1)]
        return Times(indices, indices, stride=0)
    largest = min(3, (SCENE_FRAMES - 1) // (length - 1))
    stride = int(rng.integers(1, largest + 1))
    first = int(rng.integers(0, SCENE_FRAMES - stride * (length - 1)))
    indices = [first + stride * k for k in range(length)]
    is_reversed = bool(rng.random() < REVERSED_SHARE)
    return Times(
        indices[::-1] if is_reversed else indices, list(range(length)), stride, is_reversed
    )


def _draw_clips(
    source: ClipSource,
    rng: np.random.Generator,
    number: int,
    frame_indices: Sequence[int] | None,
    *,
    is_easy: bool,
) -> list[Clip]:
    """Draw clips of new seeds; without frame indices each is one random frame."""
    clips = []
    for seed in rng.integers(*TRAIN_SEEDS, number):
        indices = [int(rng.integers(SCENE_FRAMES))] if frame_indices is None else frame_indices
        clips.append(source.draw(int(seed), indices, is_easy=is_easy))
    return clips


def _image_step(
    model: Any,
    heads: TrainingHeads,
    clips: list[Clip],
    stage: Stage,
    rng: np.random.Generator,
) -> tuple[Tensor, Figures]:
    images = normalise(np.concatenate([clip.frames for clip in clips]))
    features = model.forward_image(images)["backbone_fpn"]
    losses = image_losses(
        model,
        heads,
        features,
        clips,
        0,
        rng=rng,
        prompts_per_image=4,
        foreground_weight=stage.foreground_weight,
        is_disc=stage.lesson == "disc",
    )
    foreground = heads.foreground_loss(features, _foreground(clips))
    if stage.lesson == "disc":
        loss = losses.masks + 0.1 * losses.pointers + 0.5 * losses.pooled + 3 * foreground
    else:
        loss = losses.masks + losses.pointers + losses.pooled + foreground
    return loss, losses.figures


def _clip_step(
    model: Any,
    heads: TrainingHeads,
    clips: list[Clip],
    batch: TrackBatch,
    times: Times,
    stage: Stage,
    rng: np.random.Generator,
    *,
    is_copy: bool,
) -> tuple[Tensor, Figures]:
    features = model.forward_image(batch.images)
    tracked_features, tracked = copy_task(features, batch) if is_copy else (features, batch)
    kind = "mask" if is_copy else str(rng.choice(PROMPT_KINDS))
    with DecoderRecord(model) as record:
        outputs = run_tracks(
            model,
            tracked_features,
            tracked,
            times=times.times,
            prompt_kind=kind,
            rng=rng,
            record=record,
        )
        loss, figures = track_losses(record, tracked, stage.foreground_weight)
    pointers = torch.stack([out["obj_ptr"] for out in outputs], 1)
    if is_copy:
        pointers, batch = pointers[:, :1], _first_frame(batch)
    attributes, pointer_figures = pointer_track_losses(
        heads,
        pointers,
        batch,
        stride=times.stride,
        is_reversed=times.is_reversed,
        motion_weight=stage.motion_weight,
    )
    image_loss, image_figures = _side_image_loss(model, heads, features, clips, times, stage, rng)
    loss = 1.5 * loss + attributes + image_loss
    return loss, {**figures, **pointer_figures, **image_figures}


def _first_frame(batch: TrackBatch) -> TrackBatch:
    """Return only the prompted frame of the batch; its images are not cut."""
    return TrackBatch(
        batch.images, batch.clip_idx, batch.masks[:, :1], batch.others[:, :1], batch.labels
    )


def _side_image_loss(
    model: Any,
    heads: TrainingHeads,
    features: dict[str, Any],
    clips: list[Clip],
    times: Times,
    stage: Stage,
    rng: np.random.Generator,
) -> tuple[Tensor, Figures]:
    """Return the loss of prompts on one frame per clip, so that tracking does not unlearn them."""
    length = len(times.frame_indices)
    frame = int(rng.integers(length))
    chosen = [level[frame::length] for level in features["backbone_fpn"]]
    losses = image_losses(
        model,
        heads,
        chosen,
        clips,
        frame,
        rng=rng,
        prompts_per_image=2,
        foreground_weight=stage.foreground_weight,
    )
    foreground = heads.foreground_loss(features["backbone_fpn"], _foreground(clips))
    loss = 0.5 * losses.masks + 0.4 * losses.pointers + losses.pooled + foreground
    return loss, losses.figures


def _foreground(clips: list[Clip]) -> Tensor:
    """Return the union of the objects of every frame, (B * T, 1, H, W) float."""
    union = np.concatenate([clip.masks.any(0) for clip in clips])
    return torch.from_numpy(union)[:, None].float()
