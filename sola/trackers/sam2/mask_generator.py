"""Make masks on one frame with SAM 2: automatic masks of everything, and masks of boxes.

Automatic masks equal those of ``SAM2AutomaticMaskGenerator`` bit for bit. Upstream resizes the
masks of every point to the frame's size and then filters them. Here only masks that pass the
threshold on the predicted IoU are resized, a few at a time, and what is left of them is their boxes
and scores. The masks that are not dropped as duplicates are resized again, and encoded. On a GPU,
the host waits for each batch of points twice, not for each of these steps.
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

from sola.trackers.base import GeneratedMask
from sola.trackers.batches import BatchSize
from sola.trackers.sam2.tracker import MaskGeneratorConfig
from sola.trackers.stages import CODES, MASK_FILTERS, PROMPT_MASKS, stage
from sola.trackers.transfer import MaskCoder, upload
from sola.types import Masklet

CHUNK_PIXELS = 2**22
"""Largest number of logits of the frame's size in memory at a time, 4 bytes each."""
BOXES_PER_BATCH = 64

Candidates = tuple[Tensor, ...]
"""Logits (n, h, w) of the decoder's size, predicted IoUs (n,), stability scores (n,) and boxes
(n, 4) of the masks at some points. The logits take a fourth of a MiB per mask, as SAM 2 decodes
256 x 256 pixels; they do not grow with the frame."""


class MaskGenerator:
    """Makes masks on one frame with a SAM 2 of any input size.

    Args:
        model: SAM 2 in evaluation mode, on its device.
        config: settings of automatic masks.
        precise: the network in float32, for masks of boxes; None: ``model``.
    """

    def __init__(
        self, model: SAM2Base, config: MaskGeneratorConfig, precise: SAM2Base | None = None
    ) -> None:
        self.config = config
        self._batch_size = BatchSize("points", config.points_per_batch)
        num_masks = model.sam_mask_decoder.num_multimask_outputs
        self._masks_per_point = num_masks if config.multimask_output else 1
        self._box_batch_size = BatchSize("boxes", BOXES_PER_BATCH)
        self.model, self.predictor = model, _predictor(model)
        self.precise = self.predictor if precise in (model, None) else _predictor(precise)

    @torch.inference_mode()
    def generate(self, frame: np.ndarray) -> list[GeneratedMask]:
        """Return masks of one (H, W, 3) uint8 RGB frame, best predicted IoU first."""
        height, width = frame.shape[:2]
        points = build_point_grid(self.config.points_per_side) * (width, height)
        with stage(PROMPT_MASKS):
            self.predictor.set_image(frame)
        with stage(MASK_FILTERS):
            batches = self._batch_size.run(
                points, lambda batch: self._candidates(batch, (height, width))
            )
            logits, ious, stability, around = map(torch.cat, zip(*batches, strict=True))
            self.predictor.reset_predictor()
            best = _without_same_boxes(around, ious.float(), self.config.box_nms_thresh)
            codes = self._encode(logits[best], (height, width), self._masks_per_point)
            scores = torch.stack([ious.float(), stability])[:, best].tolist()  # one copy
            return list(map(GeneratedMask, codes, *scores))

    @torch.inference_mode()
    def masks_of(self, frame: np.ndarray, boxes: np.ndarray) -> list[GeneratedMask]:
        """Return the mask of each box; the image encoder runs once.

        Autocast is off, as in the published code: half precision moves stability scores across the
        threshold.

        Args:
            frame: (H, W, 3) uint8 RGB.
            boxes: (n, 4) left, top, right, bottom in pixels, n >= 1.
        """
        height, width = frame.shape[:2]
        with stage(PROMPT_MASKS), torch.autocast(self.precise.device.type, enabled=False):
            self.precise.set_image(frame)
            batches = self._box_batch_size.run(
                boxes, lambda batch: self._masks_in(batch, (height, width))
            )
            found = [mask for masks in batches for mask in masks]
            self.precise.reset_predictor()
        return found

    def _candidates(self, points: np.ndarray, size: tuple[int, int]) -> Candidates:
        """Return the masks at a batch of points that pass the thresholds; 0 passes all."""
        with stage(PROMPT_MASKS):
            positions = upload(torch.as_tensor(points, dtype=torch.float32), self.predictor.device)
            coords = self.predictor._transforms.transform_coords(
                positions, normalize=True, orig_hw=size
            )[:, None]
            labels = torch.ones((len(coords), 1), dtype=torch.int, device=coords.device)
            found: Candidates = _decode(
                self.predictor, coords, labels, self.config.multimask_output
            )
        if self.config.pred_iou_thresh > 0:
            found = _select(found[1] > self.config.pred_iou_thresh, *found)
        found = (*found, *self._measure(found[0], size))
        if self.config.stability_score_thresh > 0:
            found = _select(found[2] >= self.config.stability_score_thresh, *found)
        return found

    def _measure(self, logits: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """Return the stability scores (n,) and boxes (n, 4) of masks, given logits (n, h, w)."""
        num_masks, start = len(logits), 0
        # made beforehand: small tensors made between large ones would fragment the host's memory
        stability = torch.empty(num_masks, device=logits.device)
        columns, rows = (
            torch.empty((num_masks, side), dtype=torch.uint8, device=logits.device)
            for side in size[::-1]
        )
        offset = self.config.stability_score_offset
        for full in self._resized(logits, size, self._masks_per_point):
            some, pixels = slice(start, start + len(full)), (full > 0).view(torch.uint8)
            stability[some] = calculate_stability_score(full, 0.0, offset)
            torch.amax(pixels, dim=1, out=columns[some])  # of bytes, which is fast
            torch.amax(pixels, dim=2, out=rows[some])
            start = some.stop
            del full, pixels  # before the next ones are made
        return stability, _boxes(columns, rows)

    def _resized(self, logits: Tensor, size: tuple[int, int], channels: int) -> Iterator[Tensor]:
        """Yield the logits (n, h, w) of masks at the frame's size, a few at a time; _upsample."""
        per_chunk = channels * max(1, CHUNK_PIXELS // (channels * size[0] * size[1]))
        for some in logits.split(per_chunk):  # no logits are one part
            yield _upsample(some.float(), size, channels)

    def _encode(self, logits: Tensor, size: tuple[int, int], channels: int) -> Masklet:
        with stage(CODES), MaskCoder() as coder:
            codes = [coder.encode(full > 0) for full in self._resized(logits, size, channels)]
            return [code for each in codes for code in each()]

    def _masks_in(self, boxes: np.ndarray, size: tuple[int, int]) -> list[GeneratedMask]:
        corners = upload(torch.as_tensor(boxes, dtype=torch.float32), self.precise.device)
        coords = self.precise._transforms.transform_boxes(corners, normalize=True, orig_hw=size)
        labels = torch.arange(2, 4, dtype=torch.int, device=coords.device)  # the two corners
        logits, ious = _decode(self.precise, coords, labels.repeat(len(coords), 1), False)
        with stage(MASK_FILTERS):
            counts = [(logits > offset).sum(dim=(1, 2)) for offset in (1.0, -1.0)]
            codes = self._encode(logits, size, 1)
            rows = torch.stack([ious, *counts], dim=1).tolist()  # one copy
            return [
                GeneratedMask(code, iou, stability_score(inside, around))
                for code, (iou, inside, around) in zip(codes, rows, strict=True)
            ]


def _predictor(model: SAM2Base) -> SAM2ImagePredictor:
    predictor = SAM2ImagePredictor(model)
    # upstream assumes 1024 px
    predictor._bb_feat_sizes = [(model.image_size // stride,) * 2 for stride in (4, 8, 16)]
    return predictor


def stability_score(inside: float, around: float) -> float:
    """Return the IoU of the masks at a high and at a low threshold; 0 if both are empty.

    Args:
        inside: number of pixels of the smaller mask, at the high threshold.
        around: that of the larger one, which contains it.
    """
    return inside / around if around else 0.0


def _decode(
    predictor: SAM2ImagePredictor, coords: Tensor, labels: Tensor, multimask: bool
) -> tuple[Tensor, Tensor]:
    """Return the logits (n, h, w) of the decoder's size and predicted IoUs (n,) of all masks.

    Args:
        predictor: holds the image.
        coords: (prompts, k, 2) points of each prompt, as the prompt encoder takes them.
        labels: (prompts, k) int32, SAM 2's kinds of points.
        multimask: whether a prompt has three masks or one.
    """
    model, features = predictor.model, predictor._features
    sparse, dense = model.sam_prompt_encoder(points=(coords, labels), boxes=None, masks=None)
    logits, ious, _, _ = model.sam_mask_decoder(
        image_embeddings=features["image_embed"],
        image_pe=model.sam_prompt_encoder.get_dense_pe(),
        sparse_prompt_embeddings=sparse,
        dense_prompt_embeddings=dense,
        multimask_output=multimask,
        repeat_image=len(coords) > 1,
        high_res_features=features["high_res_feats"],
    )
    return logits.flatten(0, 1), ious.flatten(0, 1)  # (prompts, masks, ...) -> (n, ...)


def _upsample(logits: Tensor, size: tuple[int, int], channels: int) -> Tensor:
    """Resize logits (n, h, w) to the frame's size, as images of the given number of channels.

    The last bit of torch's bilinear kernels depends on the number of channels, but not on the
    channel of a mask, nor on the number of images.
    """
    padded = F.pad(logits, (0, 0, 0, 0, 0, -len(logits) % channels))
    images = padded.unflatten(0, (-1, channels))  # (n, h, w) -> (n / channels, channels, h, w)
    with stage(PROMPT_MASKS):
        full = F.interpolate(images, size, mode="bilinear", align_corners=False)
    return full.flatten(0, 1)[: len(logits)]


def _select(is_kept: Tensor, *values: Tensor) -> tuple[Tensor, ...]:
    """Return the rows of each tensor that are kept; waits for a GPU once."""
    kept = torch.nonzero(is_kept)[:, 0]
    return tuple(each[kept] for each in values)


def _boxes(columns: Tensor, rows: Tensor) -> Tensor:
    """Return the boxes (n, 4) around masks, as ``sola.masks.boxes`` does.

    Args:
        columns: (n, W) uint8, 1 for the columns in which a mask has pixels.
        rows: (n, H) uint8, likewise.
    """
    first = [used.argmax(dim=1) for used in (columns, rows)]
    last = [used.shape[1] - 1 - used.flip(1).argmax(dim=1) for used in (columns, rows)]
    is_empty = rows.amax(dim=1) == 0
    return torch.stack(first + last, dim=1).masked_fill(is_empty[:, None], 0)


def _without_same_boxes(boxes: Tensor, ious: Tensor, max_iou: float) -> Tensor:
    """Return the indices of masks, best predicted IoU first.

    Of masks whose boxes' IoU is above max_iou, only that with the best predicted IoU is kept.
    """
    classes = torch.zeros_like(ious)
    kept: Tensor = batched_nms(boxes.float(), ious, classes, iou_threshold=max_iou)
    return kept
