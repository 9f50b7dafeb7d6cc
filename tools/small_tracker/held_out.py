"""Tracking metrics of the small tracker on held-out scenes."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sola.masks import decode
from sola.trackers.sam2 import MaskGeneratorConfig
from sola.trackers.sam2.mask_generator import MaskGenerator
from tools.small_tracker.clips import SCENE_FRAMES, Clip, TrackBatch, batch_tracks
from tools.small_tracker.track_step import run_tracks

CLIPS_PER_BATCH = 8
HELD_OUT_SEEDS = {
    "probe_train": 7_000_000,
    "tracking": 8_000_000,
    "grid": 8_100_000,
    "probe_test": 8_200_000,
    "training_log": 9_000_000,
}
"""First seed of each held-out set; training draws its scenes from 10 000 000 upwards."""
DrawClip = Callable[[int, Sequence[int]], Clip]
"""(seed, frame indices) -> clip."""


@dataclass(frozen=True)
class TrackedClips:
    """Held-out objects tracked from the mask of their first frame."""

    iou: Tensor
    """(N, T) IoU with the visible object; 1 where both are empty."""
    is_visible: Tensor
    """(N, T) bool, whether any part of the object is visible."""
    pointers: Tensor
    """(N, T, D)."""
    labels: Tensor
    """(N, 3) classes of shape, colour and motion."""

    @property
    def track_iou(self) -> Tensor:
        """Mean IoU over the frames after the prompt, (N,)."""
        return self.iou[:, 1:].mean(1)


@torch.no_grad()
def track_clips(model: Any, draw: DrawClip, seeds: Sequence[int]) -> TrackedClips:
    """Track each object visible on its scene's first frame, from its ground-truth mask there."""
    was_training = model.training
    model.eval()
    parts = []
    for start in range(0, len(seeds), CLIPS_PER_BATCH):
        chosen = seeds[start : start + CLIPS_PER_BATCH]
        batch = batch_tracks([draw(seed, range(SCENE_FRAMES)) for seed in chosen])
        if batch is not None:
            parts.append(_track_batch(model, batch))
    model.train(was_training)
    return TrackedClips(
        torch.cat([part.iou for part in parts]),
        torch.cat([part.is_visible for part in parts]),
        torch.cat([part.pointers for part in parts]),
        torch.cat([part.labels for part in parts]),
    )


def grid_figures(
    model: Any,
    draw: DrawClip,
    seeds: Sequence[int],
    generator_options: Mapping[str, Any],
    min_iou: float = 0.7,
) -> dict[str, float]:
    """Return recall, precision and masks per frame of the automatic mask generator.

    Args:
        model: SAM2Base.
        draw: draws scenes; one frame is used per seed.
        seeds: seeds of the scenes.
        generator_options: fields of MaskGeneratorConfig.
        min_iou: a mask finds an object if their IoU is above this.
    """
    generator = MaskGenerator(model, MaskGeneratorConfig(**generator_options))
    found = objects = masks = correct = 0
    for seed in seeds:
        clip = draw(seed, [seed % SCENE_FRAMES])
        visible = [mask for mask in clip.masks[:, 0] if mask.sum() > 60]
        answers = [decode([answer.mask])[0] for answer in generator.generate(clip.frames[0])]
        overlap = _overlaps(answers, visible)
        found += int((overlap.max(0, initial=0) > min_iou).sum())
        correct += int((overlap.max(1, initial=0) > min_iou).sum())
        objects, masks = objects + len(visible), masks + len(answers)
    return {
        "recall": found / max(objects, 1),
        "precision": correct / max(masks, 1),
        "masks_per_frame": masks / max(len(seeds), 1),
    }


def _track_batch(model: Any, batch: TrackBatch) -> TrackedClips:
    outputs = run_tracks(model, model.forward_image(batch.images), batch)
    preds = torch.stack([out["pred_masks_high_res"][:, 0] > 0 for out in outputs], 1)
    target = batch.masks[:, :, 0] > 0
    union = (preds | target).flatten(2).sum(-1)
    both = (preds & target).flatten(2).sum(-1)
    iou = torch.where(union > 0, both / union.clamp(min=1), 1.0)
    return TrackedClips(
        iou,
        target.flatten(2).any(-1),
        torch.stack([out["obj_ptr"] for out in outputs], 1),
        batch.labels,
    )


def _overlaps(preds: Sequence[np.ndarray], targets: Sequence[np.ndarray]) -> np.ndarray:
    """Return the IoU of each mask and object, (P, G)."""
    overlap = np.zeros((len(preds), len(targets)))
    for i, pred in enumerate(preds):
        for j, target in enumerate(targets):
            overlap[i, j] = (pred & target).sum() / max((pred | target).sum(), 1)
    return overlap
