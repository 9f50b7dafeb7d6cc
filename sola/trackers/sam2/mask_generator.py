"""Make masks on one frame with SAM 2: automatic masks of everything, and masks of boxes.

Automatic masks equal those of ``SAM2AutomaticMaskGenerator`` bit for bit. Upstream resizes the
masks of every point to the frame's size and then filters them. Here only masks that pass the
threshold on the predicted IoU are resized, a few at a time, and kept as run-length codes.
"""

from collections.abc import Iterator

import numpy as np
import torch
import torch.nn.functional as F
from sam2.modeling.sam2_base import SAM2Base
from sam2.sam2_image_predictor import SAM2ImagePredictor
from sam2.utils.amg import build_point_grid, calculate_stability_score
from torch import Tensor
from torchvision.ops import batched_nms

from sola.masks import boxes, encode
from sola.trackers.base import GeneratedMask
from sola.trackers.batches import BatchSize
from sola.trackers.sam2.tracker import MaskGeneratorConfig
from sola.trackers.stages import MASK_FILTERS, PROMPT_MASKS, stage

CHUNK_PIXELS = 2**22
"""Largest number of logits of the frame's size in memory at a time, 4 bytes each."""
BOXES_PER_BATCH = 64


class MaskGenerator:
    """Makes masks on one frame with a SAM 2 of any input size.

    Args:
        model: SAM 2 in evaluation mode, on its device.
        config: settings of automatic masks.
    """

    def __init__(self, model: SAM2Base, config: MaskGeneratorConfig) -> None:
        self.config = config
        self._batch_size = BatchSize("points", config.points_per_batch)
        num_masks = model.sam_mask_decoder.num_multimask_outputs
        self._masks_per_point = num_masks if config.multimask_output else 1
        self._box_batch_size = BatchSize("boxes", BOXES_PER_BATCH)
        self.model, self.predictor = model, SAM2ImagePredictor(model)
        # upstream assumes 1024 px
        self.predictor._bb_feat_sizes = [(model.image_size // stride,) * 2 for stride in (4, 8, 16)]

    @torch.inference_mode()
    def generate(self, frame: np.ndarray) -> list[GeneratedMask]:
        """Return masks of one (H, W, 3) uint8 RGB frame, best predicted IoU first."""
        height, width = frame.shape[:2]
        points = build_point_grid(self.config.points_per_side) * (width, height)
        with stage(PROMPT_MASKS):
            self.predictor.set_image(frame)
        with stage(MASK_FILTERS):
            batches = self._batch_size.run(
                points, lambda batch: list(self._masks_at(batch, (height, width)))
            )
            found = [mask for masks in batches for mask in masks]
            self.predictor.reset_predictor()
            return _drop_same_boxes(found, self.config.box_nms_thresh)

    @torch.inference_mode()
    def masks_of(self, frame: np.ndarray, boxes: np.ndarray) -> list[GeneratedMask]:
        """Return the mask of each box; the image encoder runs once.

        Autocast is off, as in the published code: half precision moves stability scores across the
        threshold.

        Args:
            frame: (H, W, 3) uint8 RGB.
            boxes: (n, 4) left, top, right, bottom in pixels, n >= 1.
        """
        with stage(PROMPT_MASKS), torch.autocast(self.predictor.device.type, enabled=False):
            self.predictor.set_image(frame)
            batches = self._box_batch_size.run(boxes, self._masks_in)
            found = [mask for masks in batches for mask in masks]
            self.predictor.reset_predictor()
        return found

    def _masks_at(self, points: np.ndarray, size: tuple[int, int]) -> Iterator[GeneratedMask]:
        """Yield the masks of a batch of points that pass the thresholds; 0 passes all."""
        with stage(PROMPT_MASKS):
            logits, ious = self._decode(points, size)
        if self.config.pred_iou_thresh > 0:
            is_good = ious > self.config.pred_iou_thresh
            logits, ious = logits[is_good], ious[is_good]
        channels = self._masks_per_point
        per_chunk = channels * max(1, CHUNK_PIXELS // (channels * size[0] * size[1]))
        for start in range(0, len(logits), per_chunk):
            chunk = slice(start, start + per_chunk)
            with stage(PROMPT_MASKS):
                full = _upsample(logits[chunk].float(), size, channels)
            yield from self._stable_masks(full, ious[chunk])

    def _stable_masks(self, logits: Tensor, ious: Tensor) -> Iterator[GeneratedMask]:
        stability = calculate_stability_score(logits, 0.0, self.config.stability_score_offset)
        masks = logits > 0
        if self.config.stability_score_thresh > 0:
            is_stable = stability >= self.config.stability_score_thresh
            masks, ious, stability = masks[is_stable], ious[is_stable], stability[is_stable]
        codes = encode(masks.cpu().numpy())
        yield from map(GeneratedMask, codes, ious.tolist(), stability.tolist())

    def _decode(self, points: np.ndarray, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """Return logits (n, h, w) of the decoder's size and predicted IoUs (n,) of all masks."""
        model, features = self.predictor.model, self.predictor._features
        coords = torch.as_tensor(points, dtype=torch.float32, device=self.predictor.device)
        coords = self.predictor._transforms.transform_coords(coords, normalize=True, orig_hw=size)
        labels = torch.ones((len(coords), 1), dtype=torch.int, device=coords.device)
        sparse, dense = model.sam_prompt_encoder(
            points=(coords[:, None], labels), boxes=None, masks=None
        )
        logits, ious, _, _ = model.sam_mask_decoder(
            image_embeddings=features["image_embed"],
            image_pe=model.sam_prompt_encoder.get_dense_pe(),
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense,
            multimask_output=self.config.multimask_output,
            repeat_image=len(coords) > 1,
            high_res_features=features["high_res_feats"],
        )
        return logits.flatten(0, 1), ious.flatten(0, 1)  # (points, masks, ...) -> (n, ...)

    def _masks_in(self, boxes: np.ndarray) -> list[GeneratedMask]:
        logits, ious, low_res = self.predictor.predict(
            box=boxes, multimask_output=False, return_logits=True
        )
        # upstream drops the batch axis if there is one box
        logits, low_res = (each.reshape(-1, *each.shape[-2:]) for each in (logits, low_res))
        with stage(MASK_FILTERS):
            scores = map(stability_score, low_res)
            return list(map(GeneratedMask, encode(logits > 0), ious.flatten().tolist(), scores))


def stability_score(logits: np.ndarray, offset: float = 1.0) -> float:
    """Return the IoU of the masks at a high and at a low threshold; 0 if both are empty.

    Args:
        logits: (H, W).
        offset: distance of both thresholds from 0.
    """
    inside, around = int((logits > offset).sum()), int((logits > -offset).sum())
    return inside / around if around else 0.0


def _upsample(logits: Tensor, size: tuple[int, int], channels: int) -> Tensor:
    """Resize logits (n, h, w) to the frame's size, as images of the given number of channels.

    The last bit of torch's bilinear kernels depends on the number of channels, but not on the
    channel of a mask, nor on the number of images.
    """
    padded = F.pad(logits, (0, 0, 0, 0, 0, -len(logits) % channels))
    images = padded.unflatten(0, (-1, channels))  # (n, h, w) -> (n / channels, channels, h, w)
    full = F.interpolate(images, size, mode="bilinear", align_corners=False)
    return full.flatten(0, 1)[: len(logits)]


def _drop_same_boxes(found: list[GeneratedMask], max_iou: float) -> list[GeneratedMask]:
    """Keep the mask with the best predicted IoU of those whose boxes' IoU is above max_iou."""
    around = torch.as_tensor(boxes([item.mask for item in found]), dtype=torch.float32)
    scores = torch.tensor([item.predicted_iou for item in found], dtype=torch.float32)
    kept = batched_nms(around, scores, torch.zeros_like(scores), iou_threshold=max_iou)
    return [found[idx] for idx in kept.tolist()]
