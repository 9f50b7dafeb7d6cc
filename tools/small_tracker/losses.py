"""Losses of masks, scores and attributes."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

OTHER_OBJECTS_WEIGHT = 3.0
IOU_WEIGHT = 4.0


@dataclass(frozen=True)
class MaskLoss:
    """Per-mask losses beside the overlap that the masks reach."""

    loss: Tensor
    """(P, M)."""
    iou: Tensor
    """(P, M), without gradient."""


def halve(masks: Tensor) -> Tensor:
    """(P, 1, H, W) masks at half the resolution, as shares in [0, 1]."""
    return F.avg_pool2d(masks, 2)


def mask_loss(
    logits: Tensor, target: Tensor, others: Tensor, max_foreground_weight: float
) -> MaskLoss:
    """Class-balanced cross entropy (twice) plus dice of predicted masks.

    The balance keeps a short training from answering background everywhere; pixels of other objects
    weigh more, or it answers all objects at once.

    Args:
        logits: (P, M, h, w), M masks for each of P prompts, at stride 4.
        target: (P, 1, H / 2, W / 2) in [0, 1].
        others: like target, the other objects of the image.
        max_foreground_weight: cap on the weight of foreground pixels.
    """
    logits = F.interpolate(logits, size=target.shape[-2:], mode="bilinear", align_corners=False)
    gold = target.expand_as(logits)
    positive = target.flatten(1).sum(1)[:, None, None, None]
    balance = ((target[0].numel() - positive) / positive.clamp(min=1)).clamp(
        1, max_foreground_weight
    )
    weight = (1 + target * (balance - 1) + OTHER_OBJECTS_WEIGHT * others).expand_as(logits)
    entropy = F.binary_cross_entropy_with_logits(logits, gold, reduction="none")
    entropy = (weight * entropy).flatten(2).sum(-1) / weight.flatten(2).sum(-1)
    probability = logits.sigmoid().flatten(2)
    both = (probability * gold.flatten(2)).sum(-1)
    dice = 1 - (2 * both + 1) / (probability.sum(-1) + gold.flatten(2).sum(-1) + 1)
    return MaskLoss(2 * entropy + dice, _iou(logits.detach() > 0, gold > 0.5))


def score_loss(predicted_iou: Tensor, iou: Tensor, weight: Tensor) -> Tensor:
    """Squared error of predicted IoU, (P, M) each, weighted by (P,), summed over prompts."""
    return IOU_WEIGHT * ((predicted_iou - iou).pow(2).mean(1) * weight).sum()


def presence_loss(logits: Tensor, is_present: Tensor, absent_weight: float = 1.0) -> Tensor:
    """Cross entropy of (P, 1) object score logits against (P,) float, summed over prompts."""
    weight = is_present + absent_weight * (1 - is_present)
    return F.binary_cross_entropy_with_logits(logits[:, 0], is_present, weight, reduction="sum")


def geometry(masks: Tensor) -> Tensor:
    """Centre x, y in [-1, 1] and scaled area of (..., H, W) masks: (..., 3)."""
    height, width = masks.shape[-2:]
    area = masks.sum((-1, -2)).clamp(min=1)
    xs = torch.arange(width) * (2 / width) - 1
    ys = torch.arange(height) * (2 / height) - 1
    x = (masks.sum(-2) * xs).sum(-1) / area
    y = (masks.sum(-1) * ys).sum(-1) / area
    return torch.stack([x, y, area * (8 / (height * width))], -1)


def weighted_mean(values: Tensor, weight: Tensor) -> Tensor:
    """Mean of values under weights of the same shape; 0 where every weight is 0."""
    return (values * weight).sum() / weight.sum().clamp(min=1)


def class_loss(logits: Tensor, target: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Weighted mean cross entropy and accuracy of (..., C) logits against (...) classes."""
    flat, classes, weight = logits.flatten(0, -2), target.flatten(), weight.flatten()
    entropy = F.cross_entropy(flat, classes, reduction="none")
    correct = (flat.detach().argmax(-1) == classes).float()
    return weighted_mean(entropy, weight), weighted_mean(correct, weight)


def foreground_loss(logits: Tensor, foreground: Tensor) -> Tensor:
    """Cross entropy of a (B, 1, h, w) foreground map against (B, 1, H, W) masks pooled to it."""
    pooled = F.avg_pool2d(foreground, foreground.shape[-1] // logits.shape[-1])
    return F.binary_cross_entropy_with_logits(logits, pooled, pos_weight=torch.tensor(2.0))


def _iou(a: Tensor, b: Tensor) -> Tensor:
    union = (a | b).flatten(2).sum(-1)
    return (a & b).flatten(2).sum(-1) / union.clamp(min=1)
