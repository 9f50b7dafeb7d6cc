"""What a detector answers, and the rule by which boxes are kept."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class Thresholds:
    """Which boxes and which words count."""

    box: float = 0.2
    """A box is kept when its best token score is above this."""
    text: float = 0.25
    """A token with a score above this belongs to the box's phrase."""


@dataclass(frozen=True)
class Detections:
    """The boxes found on one frame for one text, in no particular order."""

    boxes: np.ndarray
    """(n, 4) float32, left, top, right, bottom in pixels of the frame; they may reach beyond it."""
    token_scores: np.ndarray
    """(n, L) float32 in [0, 1], for each token of the text, special tokens included."""
    phrases: tuple[str, ...]
    """n, the words of the text whose tokens score above the text threshold; "" for none."""

    @property
    def scores(self) -> np.ndarray:
        """(n,) float32 in [0, 1], the best token's."""
        scores: np.ndarray = self.token_scores.max(axis=1)
        return scores


def keep_boxes(
    logits: Tensor,
    boxes: Tensor,
    size: tuple[int, int],
    thresholds: Thresholds,
    phrase_of: Callable[[Sequence[bool]], str],
) -> Detections:
    """The boxes of which the best token scores above the threshold.

    Args:
        logits: (Q, L), one column for each token of the text and no further ones.
        boxes: (Q, 4), centre x, centre y, width, height as shares of the frame.
        size: (H, W) of the frame in pixels.
        thresholds: which boxes and words count.
        phrase_of: for each of the L tokens whether it counts -> the words.
    """
    token_scores = logits.float().sigmoid()
    is_kept = token_scores.amax(dim=1) > thresholds.box
    token_scores = token_scores[is_kept].cpu()
    is_word = (token_scores > thresholds.text).tolist()
    return Detections(
        boxes=to_corners(boxes[is_kept].float().cpu(), size).numpy(),
        token_scores=token_scores.numpy(),
        phrases=tuple(phrase_of(row) for row in is_word),
    )


def to_corners(boxes: Tensor, size: tuple[int, int]) -> Tensor:
    """Boxes as left, top, right, bottom in pixels.

    Args:
        boxes: (n, 4), centre x, centre y, width, height as shares of the frame.
        size: (H, W) in pixels.
    """
    height, width = size
    centres, extents = boxes[:, :2], boxes[:, 2:]
    corners = torch.cat([centres - extents / 2, centres + extents / 2], dim=1)
    return corners * torch.tensor([width, height, width, height], dtype=boxes.dtype)
