"""Losses of masks, scores and attributes."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

OTHER_OBJECTS_WEIGHT = 3.0
IOU_WEIGHT = 4.0


@dataclass(frozen=True)
class MaskLoss:
    """Losses and IoUs of masks."""

    loss: Tensor
    """(P, M)."""
    iou: Tensor
    """(P, M), without gradient."""


def halve(masks: Tensor) -> Tensor:
    """Halve the resolution of masks (P, 1, H, W) to shares in [0, 1]."""
    return F.avg_pool2d(masks, 2)


def mask_loss(
    logits: Tensor, target: Tensor, others: Tensor, max_foreground_weight: float
) -> MaskLoss:
    """Return twice the class-balanced cross entropy plus the dice loss of predicted masks.

    Without class balance, a short training predicts background everywhere. Pixels of other objects
    weigh more, as it otherwise predicts all objects at once.

    Args:
        logits: (P, M, h, w), M masks for each of P prompts, at stride 4.
        target: (P, 1, H / 2, W / 2) in [0, 1].
        others: masks of the other objects of the image, like ``target``.
        max_foreground_weight: upper limit of the weight of foreground pixels.
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
    """Return the squared error of predicted IoUs (P, M), weighted by (P,), summed over prompts."""
    return IOU_WEIGHT * ((predicted_iou - iou).pow(2).mean(1) * weight).sum()


def presence_loss(logits: Tensor, is_present: Tensor, absent_weight: float = 1.0) -> Tensor:
    """Return the cross entropy of object score logits (P, 1) and labels (P,), summed."""
    weight = is_present + absent_weight * (1 - is_present)
    return F.binary_cross_entropy_with_logits(logits[:, 0], is_present, weight, reduction="sum")


def geometry(masks: Tensor) -> Tensor:
    """Return centre x, y in [-1, 1] and scaled area of masks (..., H, W), (..., 3)."""
    height, width = masks.shape[-2:]
    area = masks.sum((-1, -2)).clamp(min=1)
    xs = torch.arange(width) * (2 / width) - 1
    ys = torch.arange(height) * (2 / height) - 1
    x = (masks.sum(-2) * xs).sum(-1) / area
    y = (masks.sum(-1) * ys).sum(-1) / area
    return torch.stack([x, y, area * (8 / (height * width))], -1)


def weighted_mean(values: Tensor, weight: Tensor) -> Tensor:
    """Return the weighted mean of values; 0 if every weight is 0."""
    return (values * weight).sum() / weight.sum().clamp(min=1)


def class_loss(logits: Tensor, target: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Return weighted mean cross entropy and accuracy of logits (..., C) for classes (...)."""
    flat, classes, weight = logits.flatten(0, -2), target.flatten(), weight.flatten()
    entropy = F.cross_entropy(flat, classes, reduction="none")
    correct = (flat.detach().argmax(-1) == classes).float()
    return weighted_mean(entropy, weight), weighted_mean(correct, weight)


def foreground_loss(logits: Tensor, foreground: Tensor) -> Tensor:
    """Return the cross entropy of a foreground map (B, 1, h, w) and pooled masks (B, 1, H, W)."""
    pooled = F.avg_pool2d(foreground, foreground.shape[-1] // logits.shape[-1])
    return F.binary_cross_entropy_with_logits(logits, pooled, pos_weight=torch.tensor(2.0))


def _iou(a: Tensor, b: Tensor) -> Tensor:
    union = (a | b).flatten(2).sum(-1)
    return (a & b).flatten(2).sum(-1) / union.clamp(min=1)
