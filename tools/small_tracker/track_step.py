"""Track through a clip with gradients, with SAM2Base's own ``track_step``, and its losses."""

from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tools.small_tracker.clips import MIN_VISIBLE_PX, SCENE_FRAMES, TrackBatch
from tools.small_tracker.heads import Figures, TrainingHeads
from tools.small_tracker.losses import halve, mask_loss, presence_loss, score_loss, weighted_mean
from tools.small_tracker.prompts import first_frame_prompts

MIN_PRESENT_PX = 12
"""Objects with fewer visible pixels count as absent."""
PRESENT_LOGIT = 10.0
ABSENT_WEIGHT = 3.0
"""Weight of frames without the object, which are rare; at 1 most of their scores stay above 0."""


@dataclass(frozen=True)
class Decoded:
    """Outputs of the mask decoder on one frame."""

    masks: Tensor
    """(N, 1, h, w) logits at stride 4."""
    predicted_iou: Tensor
    """(N, 1)."""
    presence: Tensor
    """(N, 1) logits, before they are replaced by the truth."""


class DecoderRecord:
    """Records the mask decoder's outputs on a clip, and replaces its object scores by the truth.

    SAM 2 gates masks and pointers by a hard threshold on the object score. An untrained score would
    block every gradient, so presence is teacher-forced. Use it as a context manager.
    """

    def __init__(self, model: Any) -> None:
        self.answers: list[Decoded] = []
        self.is_present: Tensor | None = None
        """(N,) bool, true presence on the next frame to decode; None: keep the scores."""
        self._decoder = model.sam_mask_decoder

    def __enter__(self) -> "DecoderRecord":
        self._handle = self._decoder.register_forward_hook(self._record)
        return self

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._handle.remove()

    def _record(self, module: Any, inputs: Any, output: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        masks, predicted_iou, tokens, presence = output
        self.answers.append(Decoded(masks, predicted_iou, presence))
        if self.is_present is None:
            return output
        forced = torch.where(self.is_present[:, None], PRESENT_LOGIT, -PRESENT_LOGIT)
        return masks, predicted_iou, tokens, forced + 0 * presence


def run_tracks(
    model: Any,
    features: dict[str, Any],
    batch: TrackBatch,
    *,
    times: list[int] | None = None,
    prompt_kind: str = "mask",
    rng: np.random.Generator | None = None,
    record: DecoderRecord | None = None,
) -> list[dict[str, Tensor]]:
    """Track every object of a batch from a prompt on its clip's first frame.

    Args:
        model: SAM2Base.
        features: ``model.forward_image(batch.images)``.
        batch: N objects in clips of T frames.
        times: T frame numbers passed to the model; 0, 1, 2, ... by default.
        prompt_kind: mask, point or box.
        rng: draws points and boxes; not needed for masks.
        record: if given, object presence is forced to the truth and outputs are recorded.

    Returns:
        Outputs of ``track_step``, one dictionary per frame.
    """
    times = list(range(batch.num_frames)) if times is None else times
    masks_in: Tensor | None = batch.masks[:, 0]
    points_in: dict[str, Tensor] | None = None
    if prompt_kind != "mask":
        assert rng is not None, "points and boxes are drawn at random"
        masks_in, points_in = None, first_frame_prompts(batch.masks[:, 0], prompt_kind, rng)
    history: dict[str, dict[int, Any]] = {"cond_frame_outputs": {}, "non_cond_frame_outputs": {}}
    outputs = []
    for frame, time in enumerate(times):
        if record is not None:
            record.is_present = batch.masks[:, frame].flatten(1).sum(1) > MIN_PRESENT_PX
        out = model.track_step(
            frame_idx=time,
            is_init_cond_frame=frame == 0,
            **_frame_features(model, features, batch.clip_idx * batch.num_frames + frame),
            point_inputs=points_in if frame == 0 else None,
            mask_inputs=masks_in if frame == 0 else None,
            output_dict=history,
            num_frames=SCENE_FRAMES,
        )
        history["cond_frame_outputs" if frame == 0 else "non_cond_frame_outputs"][time] = out
        outputs.append(out)
    return outputs


def track_losses(
    record: DecoderRecord, batch: TrackBatch, foreground_weight: float
) -> tuple[Tensor, Figures]:
    """Return mask, score and presence losses over the frames, and the mean IoU after the first."""
    assert len(record.answers) == batch.num_frames
    total, overlaps, weights = torch.zeros(()), [], []
    for frame, answer in enumerate(record.answers):
        target = batch.masks[:, frame]
        is_present = (target.flatten(1).sum(1) > MIN_PRESENT_PX).float()
        losses = mask_loss(
            answer.masks, halve(target), halve(batch.others[:, frame]), foreground_weight
        )
        loss = (losses.loss[:, 0] * is_present).sum()
        loss = loss + presence_loss(answer.presence, is_present, absent_weight=ABSENT_WEIGHT)
        total = total + loss + score_loss(answer.predicted_iou, losses.iou, is_present)
        overlaps.append(losses.iou[:, 0])
        weights.append(is_present)
    overlap = weighted_mean(torch.stack(overlaps[1:]), torch.stack(weights[1:]))
    return total / (len(batch.masks) * batch.num_frames), {"track_iou": overlap.item()}


def pointer_track_losses(
    heads: TrainingHeads,
    pointers: Tensor,
    batch: TrackBatch,
    *,
    stride: int,
    is_reversed: bool,
    motion_weight: float,
) -> tuple[Tensor, Figures]:
    """Return the losses of each pointer's attributes, and of motion in even clips of 4+ frames.

    Args:
        heads: the training heads.
        pointers: (N, T, D).
        batch: objects of the pointers.
        stride: scene frames between two frames of the clip; 0 (uneven) leaves out motion.
        is_reversed: whether the clip was shown backwards.
        motion_weight: weight of the motion loss.
    """
    visible = (batch.masks.flatten(2).sum(2) > MIN_VISIBLE_PX).float()
    labels = batch.labels[:, None].expand(-1, batch.num_frames, -1)
    loss, figures = heads.pointer_loss(pointers, labels, batch.masks[:, :, 0], visible)
    if batch.num_frames >= 4 and stride > 0:
        in_time = pointers.flip(1) if is_reversed else pointers
        motion, motion_figures = heads.motion_loss(in_time, batch.labels[:, 2], stride)
        loss, figures = loss + motion_weight * motion, {**figures, **motion_figures}
    return loss, {f"track_{name}": value for name, value in figures.items()}


def copy_task(features: dict[str, Any], batch: TrackBatch) -> tuple[dict[str, Any], TrackBatch]:
    """Memory lesson: later frames show another clip, and the target is always the first mask.

    Only the memory solves this, so a model that ignores its memory learns to read it.
    """
    num_clips = len(batch.images) // batch.num_frames
    order = torch.arange(len(batch.images)).view(num_clips, batch.num_frames)
    order[:, 1:] = order.roll(1, 0)[:, 1:]
    shuffled = {
        name: [level[order.flatten()] for level in features[name]]
        for name in ("backbone_fpn", "vision_pos_enc")
    }
    first = batch.masks[:, :1].expand_as(batch.masks)
    return shuffled, replace(batch, masks=first, others=torch.zeros_like(batch.others))


def _frame_features(model: Any, features: dict[str, Any], image_idx: Tensor) -> dict[str, Any]:
    """Return the features of one frame per track, as arguments of ``track_step``."""
    chosen = {
        name: [level[image_idx] for level in features[name]]
        for name in ("backbone_fpn", "vision_pos_enc")
    }
    _, vision_feats, vision_pos_embeds, feat_sizes = model._prepare_backbone_features(chosen)
    return {
        "current_vision_feats": vision_feats,
        "current_vision_pos_embeds": vision_pos_embeds,
        "feat_sizes": feat_sizes,
    }
