"""SAM 2's image predictor on boxes: one mask a box."""

import numpy as np
import torch
from sam2.modeling.sam2_base import SAM2Base
from sam2.sam2_image_predictor import SAM2ImagePredictor

from sola.trackers.base import BoxMask
from sola.trackers.batches import BatchSize
from sola.trackers.sam2.mask_generator import feature_sizes
from sola.trackers.stages import MASK_FILTERS, PROMPT_MASKS, stage

STABILITY_OFFSET = 1.0
"""Logits this far from 0 say how far a mask depends on the threshold."""
BOXES_PER_BATCH = 64
"""Boxes decoded together, which changes time and memory alone."""


class BoxMasker:
    """Upstream's image predictor, for a SAM 2 of any input size."""

    def __init__(self, model: SAM2Base) -> None:
        self.predictor = SAM2ImagePredictor(model)
        self.predictor._bb_feat_sizes = feature_sizes(model)
        self._batch_size = BatchSize("boxes", BOXES_PER_BATCH)

    @torch.inference_mode()
    def masks_of(self, frame: np.ndarray, boxes: np.ndarray) -> list[BoxMask]:
        """The mask of each box; the frame goes through the image encoder once.

        Always without autocast, as in the published code: half precision moves stability scores
        across the threshold.

        Args:
            frame: (H, W, 3) uint8 RGB.
            boxes: (n, 4) left, top, right, bottom in pixels; none is a valid answer.
        """
        if not len(boxes):
            return []
        device_type = self.predictor.device.type
        with stage(PROMPT_MASKS), torch.autocast(device_type, enabled=False):
            self.predictor.set_image(frame)
            try:
                batches = list(self._batch_size.run(boxes, self._decode))
            finally:
                self.predictor.reset_predictor()
        return [mask for batch in batches for mask in batch]

    def _decode(self, boxes: np.ndarray) -> list[BoxMask]:
        logits, ious, low_res = self.predictor.predict(
            box=boxes, multimask_output=False, return_logits=True
        )
        # upstream drops the axis of one box
        logits, low_res = (each.reshape(-1, *each.shape[-2:]) for each in (logits, low_res))
        with stage(MASK_FILTERS):
            return [
                BoxMask(mask > 0, float(iou), stability_score(small))
                for mask, iou, small in zip(logits, ious.reshape(-1), low_res, strict=True)
            ]


def stability_score(logits: np.ndarray, offset: float = STABILITY_OFFSET) -> float:
    """IoU of a mask cut at a high and at a low threshold, which contains it; 0 for no mask.

    Args:
        logits: (H, W).
        offset: distance of both thresholds from 0.
    """
    inside, around = int((logits > offset).sum()), int((logits > -offset).sum())
    return inside / around if around else 0.0
