"""Masks of a detector's boxes as prompts."""

from collections.abc import Sequence

import numpy as np

from sola.masks import encode
from sola.prompts.grounding_dino.detections import Detections
from sola.types import Prompt


def expression_prompts(
    frame_idx: int,
    detections: Detections,
    masks: Sequence[np.ndarray],
    scores: Sequence[tuple[float, float]],
    source: str,
) -> list[Prompt]:
    """All boxes of one expression on one frame as prompts, in their order.

    Args:
        frame_idx: the frame.
        detections: n boxes of the expression; none is a valid answer.
        masks: n masks (H, W) bool, one a box; a mask may be empty.
        scores: (predicted IoU, stability score) of each.
        source: name of the prompt source.
    """
    if not masks:
        return []
    return [
        Prompt(
            frame_idx=frame_idx,
            mask=code,
            area=int(mask.sum()),
            source=source,
            predicted_iou=predicted_iou,
            stability_score=stability,
            box=_corners(box),
            phrase=phrase,
            token_scores=tuple(token_scores.tolist()),
        )
        for code, mask, (predicted_iou, stability), box, phrase, token_scores in zip(
            encode(np.stack(masks)),
            masks,
            scores,
            detections.boxes,
            detections.phrases,
            detections.token_scores,
            strict=True,
        )
    ]


def keep_likely(prompts: Sequence[Prompt], box_threshold: float) -> list[Prompt]:
    """Prompts of which the best token scores above the threshold, as ``keep_boxes`` compares."""
    least = np.float32(box_threshold)
    return [prompt for prompt in prompts if np.float32(max(prompt.token_scores)) > least]


def keep_stable(prompts: Sequence[Prompt], stability_threshold: float = 0.85) -> list[Prompt]:
    """Prompts with at least this stability score, compared in float32 like upstream's."""
    least = np.float32(stability_threshold)
    return [prompt for prompt in prompts if np.float32(prompt.stability_score) >= least]


def _corners(box: np.ndarray) -> tuple[float, float, float, float]:
    left, top, right, bottom = box.tolist()
    return left, top, right, bottom
