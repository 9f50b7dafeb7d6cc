"""SAM 2's automatic mask generator: masks of everything on a frame, without a prompt."""

from dataclasses import dataclass

import numpy as np
import torch
from sam2.automatic_mask_generator import SAM2AutomaticMaskGenerator
from sam2.modeling.sam2_base import SAM2Base

from sola.config.schema import MaskGeneratorConfig


@dataclass(frozen=True)
class GeneratedMask:
    """One mask of a frame."""

    mask: np.ndarray
    """(H, W) bool."""
    predicted_iou: float
    stability_score: float


class MaskGenerator:
    """Upstream's generator, for a SAM 2 of any input size."""

    def __init__(self, model: SAM2Base, config: MaskGeneratorConfig) -> None:
        self.generator = SAM2AutomaticMaskGenerator(
            model,
            points_per_side=config.points_per_side,
            points_per_batch=config.points_per_batch,
            pred_iou_thresh=config.pred_iou_thresh,
            stability_score_thresh=config.stability_score_thresh,
            stability_score_offset=config.stability_score_offset,
            box_nms_thresh=config.box_nms_thresh,
            multimask_output=config.multimask_output,
        )
        self.generator.predictor._bb_feat_sizes = feature_sizes(model)

    @torch.inference_mode()
    def generate(self, frame: np.ndarray) -> list[GeneratedMask]:
        """Masks of one (H, W, 3) uint8 RGB frame, in no particular order."""
        return [
            GeneratedMask(found["segmentation"], found["predicted_iou"], found["stability_score"])
            for found in self.generator.generate(frame)
        ]


def feature_sizes(model: SAM2Base) -> list[tuple[int, int]]:
    """(h, w) of the three feature maps; upstream's image predictor writes down those of 1024 px."""
    return [(model.image_size // stride,) * 2 for stride in (4, 8, 16)]
