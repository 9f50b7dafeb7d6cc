"""Masks of a detector's boxes as prompts."""

from collections.abc import Sequence

import numpy as np

from sola.masks import encode
from sola.prompts.grounding_dino.detections import Detections
from sola.types import Prompt

SOURCE = "gdino"


def expression_prompts(
    frame_idx: int,
    detections: Detections,
    masks: Sequence[np.ndarray],
    scores: Sequence[tuple[float, float]],
    stability_threshold: float = 0.85,
) -> list[Prompt]:
    """Prompts of one expression on one frame, in the order of its boxes.

    Args:
        frame_idx: the frame.
        detections: n boxes of the expression; none is a valid answer.
        masks: n masks (H, W) bool, one a box.
        scores: (predicted IoU, stability score) of each.
        stability_threshold: a mask that is less stable is left out; so is an empty one.
    """
    kept = [
        idx
        for idx, (mask, (_, stability)) in enumerate(zip(masks, scores, strict=True))
        if stability >= stability_threshold and mask.any()
    ]
    if not kept:
        return []
    codes = encode(np.stack([masks[idx] for idx in kept]))
    return [
        Prompt(
            frame_idx=frame_idx,
            mask=code,
            area=int(masks[idx].sum()),
            source=SOURCE,
            predicted_iou=scores[idx][0],
            stability_score=scores[idx][1],
            box=_corners(detections.boxes[idx]),
            phrase=detections.phrases[idx],
            token_scores=tuple(detections.token_scores[idx].tolist()),
        )
        for idx, code in zip(kept, codes, strict=True)
    ]


def _corners(box: np.ndarray) -> tuple[float, float, float, float]:
    left, top, right, bottom = box.tolist()
    return left, top, right, bottom
