"""Losses on single images: masks from points, boxes and masks, and attributes from pointers."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tools.small_tracker.clips import MIN_VISIBLE_PX, Clip
from tools.small_tracker.heads import Figures, TrainingHeads
from tools.small_tracker.losses import halve, mask_loss, presence_loss, score_loss
from tools.small_tracker.prompts import PromptGroup, PromptMix, draw_prompts

DISC_RADIUS_PX = 18
DISC_MIX = PromptMix(background=0.1, point=0.6, box=0.3)


@dataclass(frozen=True)
class ImageLosses:
    """Parts of the loss of one image batch."""

    masks: Tensor
    pointers: Tensor
    pooled: Tensor
    figures: Figures


@dataclass(frozen=True)
class _GroupResult:
    """Results of one kind of prompt."""

    loss: Tensor
    """Sum over the prompts."""
    iou: Tensor
    """(P,) IoU of the first mask."""
    pointers: Tensor
    """(P, D)."""
    is_object: Tensor
    """(P,) float."""


def image_losses(
    model: Any,
    heads: TrainingHeads,
    features: Sequence[Tensor],
    clips: Sequence[Clip],
    frame: int,
    *,
    rng: np.random.Generator,
    prompts_per_image: int,
    foreground_weight: float,
    is_disc: bool = False,
) -> ImageLosses:
    """Return the losses of random prompts on one frame of every clip.

    Args:
        model: SAM2Base.
        heads: the training heads.
        features: maps of that frame of each clip, at strides 4, 8, 16.
        clips: as many clips as images in the features.
        frame: position of the frame in the clips.
        rng: draws the prompts.
        prompts_per_image: number of prompts per image.
        foreground_weight: upper limit of the mask loss's foreground weight.
        is_disc: whether the target is a disc around the point, or the filled box, as in the first
            lesson.
    """
    mix = DISC_MIX if is_disc else PromptMix()
    groups = draw_prompts(clips, frame, rng, mix, prompts_per_image)
    results = [
        _group_losses(model, features, clips, frame, group, foreground_weight, is_disc)
        for group in groups
    ]
    num_prompts = sum(len(group.image_idx) for group in groups)
    masks = torch.stack([result.loss for result in results]).sum() / max(num_prompts, 1)
    figures = _overlap_figures(groups, results)
    pointers, pointer_figures = _pointer_loss(heads, clips, groups, results)
    pooled, pooled_figures = _pooled_loss(heads, features, clips, frame)
    return ImageLosses(masks, pointers, pooled, {**figures, **pointer_figures, **pooled_figures})


def _group_losses(
    model: Any,
    features: Sequence[Tensor],
    clips: Sequence[Clip],
    frame: int,
    group: PromptGroup,
    foreground_weight: float,
    is_disc: bool,
) -> _GroupResult:
    """Return the losses of the masks of the decoder's four tokens, and the pointer of the first."""
    target = group.target_masks()
    is_object = torch.tensor([float(i >= 0) for i in group.object_idx])
    masks, predicted_iou, tokens, presence = _decode(model, features, group, target)
    gold, others = halve(target), _others(clips, frame, group)
    if is_disc:
        gold, others = _disc_target(group, gold.shape[-1]), torch.zeros_like(gold)
    losses = mask_loss(masks, gold, others, foreground_weight)
    iou = losses.iou * is_object[:, None]
    first, rest = losses.loss[:, 0], losses.loss[:, 1:]
    per_prompt = first + rest.min(1).values + 0.1 * rest.mean(1)
    loss = (per_prompt * is_object).sum() + presence_loss(presence, is_object)
    loss = loss + score_loss(predicted_iou, iou, torch.ones(len(iou)))
    return _GroupResult(loss, iou[:, 0], model.obj_ptr_proj(tokens[:, 0]), is_object)


def _decode(model: Any, features: Sequence[Tensor], group: PromptGroup, target: Tensor) -> Any:
    """Run SAM's decoder on one frame without memory, as SAM2Base: masks, IoU, tokens, presence."""
    image_idx = torch.tensor(group.image_idx)
    points = group.coordinates()
    coarsest = features[2][image_idx]
    mask_input = model.mask_downsample(target) if group.kind == "mask" else None
    if mask_input is None:  # SAM2Base reads mask prompts from the bare features
        coarsest = coarsest + model.no_mem_embed.view(1, -1, 1, 1)
    sparse, dense = model.sam_prompt_encoder(points=points, boxes=None, masks=mask_input)
    return model.sam_mask_decoder.predict_masks(
        image_embeddings=coarsest,
        image_pe=model.sam_prompt_encoder.get_dense_pe(),
        sparse_prompt_embeddings=sparse,
        dense_prompt_embeddings=dense,
        repeat_image=False,
        high_res_features=[features[0][image_idx], features[1][image_idx]],
    )


def _others(clips: Sequence[Clip], frame: int, group: PromptGroup) -> Tensor:
    """Return the objects of each prompt's image besides its target, (P, 1, H / 2, W / 2)."""
    union = np.stack([clip.masks[:, frame].any(0) for clip in clips])
    others = union[group.image_idx] & ~np.stack(group.targets)
    return halve(torch.from_numpy(others)[:, None].float())


def _disc_target(group: PromptGroup, size: int) -> Tensor:
    """Return a disc around each point, or each filled box, (P, 1, size, size); a cell is 2 px."""
    corners = torch.from_numpy(np.stack(group.corners))[..., None, None]
    ys, xs = torch.meshgrid(*[torch.arange(size) * 2.0 + 1] * 2, indexing="ij")
    x0, y0, x1, y1 = corners[:, 0, 0], corners[:, 0, 1], corners[:, -1, 0], corners[:, -1, 1]
    if group.kind == "point":
        inside = (xs - x0) ** 2 + (ys - y0) ** 2 < DISC_RADIUS_PX**2
    else:
        inside = (xs > x0) & (xs < x1) & (ys > y0) & (ys < y1)
    return inside[:, None].float()


def _overlap_figures(groups: Sequence[PromptGroup], results: Sequence[_GroupResult]) -> Figures:
    """Return the mean IoU of point and box prompts on objects; mask prompts would be trivial."""
    pairs = [(r.iou, r.is_object) for g, r in zip(groups, results, strict=True) if g.kind != "mask"]
    total = sum(float(weight.sum()) for _, weight in pairs)
    if total == 0:
        return {}
    return {"image_iou": sum(float((iou * weight).sum()) for iou, weight in pairs) / total}


def _pointer_loss(
    heads: TrainingHeads,
    clips: Sequence[Clip],
    groups: Sequence[PromptGroup],
    results: Sequence[_GroupResult],
) -> tuple[Tensor, Figures]:
    labels = [
        clips[image].labels[item] if item >= 0 else np.zeros(3, np.int64)
        for group in groups
        for image, item in zip(group.image_idx, group.object_idx, strict=True)
    ]
    return heads.pointer_loss(
        torch.cat([result.pointers for result in results]),
        torch.from_numpy(np.stack(labels)),
        torch.cat([group.target_masks()[:, 0] for group in groups]),
        torch.cat([result.is_object for result in results]),
    )


def _pooled_loss(
    heads: TrainingHeads, features: Sequence[Tensor], clips: Sequence[Clip], frame: int
) -> tuple[Tensor, Figures]:
    """Return the attribute loss of every visible object of the batch."""
    chosen = [
        (image, item)
        for image, clip in enumerate(clips)
        for item in np.flatnonzero(clip.masks[:, frame].sum((1, 2)) > MIN_VISIBLE_PX)
    ]
    height, width = clips[0].masks.shape[-2:]
    masks = np.zeros((len(chosen), 1, height, width), np.float32)
    labels = np.zeros((len(chosen), 3), np.int64)
    for row, (image, item) in enumerate(chosen):
        masks[row, 0], labels[row] = clips[image].masks[item, frame], clips[image].labels[item]
    image_idx = torch.tensor([image for image, _ in chosen], dtype=torch.int64)
    return heads.pooled_loss(features, image_idx, torch.from_numpy(masks), torch.from_numpy(labels))
