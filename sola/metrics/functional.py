"""Region similarity J and boundary measure F of masklets, frame by frame."""

import numpy as np
import torch
from torch import Tensor

from sola.masks import crop
from sola.metrics.boundary import f_measure, trace


def region_similarity(preds: Tensor, target: Tensor) -> Tensor:
    """Jaccard index J of each predicted masklet against its target, frame by frame.

    A frame empty in both scores 1: predicting absence is correct.

    Args:
        preds: (..., T, H, W) bool, predicted masklets.
        target: (..., T, H, W) bool, ground-truth masklets.

    Returns:
        (..., T) float64 in [0, 1]; mean over T, then over expressions, is the J that papers report.

    Raises:
        ValueError: if the shapes differ, have fewer than three dimensions, or values are not bool.
    """
    _check(preds, target)
    intersection = (preds & target).sum(dim=(-2, -1))
    union = (preds | target).sum(dim=(-2, -1))
    share = intersection.double() / union.clamp(min=1)
    return torch.where(union == 0, torch.ones_like(share), share)


def boundary_f_measure(preds: Tensor, target: Tensor) -> Tensor:
    """Boundary measure F of each predicted masklet against its target, frame by frame.

    DAVIS's definition: the F-measure of the boundaries' pixels, which match within a disk of radius
    ceil(0.008 * diagonal). A frame without boundary in both scores 1, in one of them 0.

    Args:
        preds: (..., T, H, W) bool, predicted masklets.
        target: (..., T, H, W) bool, ground-truth masklets.

    Returns:
        (..., T) float64 in [0, 1], on the device of ``preds``; computed on the CPU.

    Raises:
        ValueError: if the shapes differ, have fewer than three dimensions, or values are not bool.
    """
    _check(preds, target)
    size = (preds.shape[-2], preds.shape[-1])
    frames = preds.shape[:-2]
    scores = np.zeros(frames.numel(), dtype=np.float64)
    if scores.size:
        # (..., T, H, W) -> (frames, H, W)
        masks, true_masks = (x.reshape(-1, *size).cpu().numpy() for x in (preds, target))
        for i, (mask, true_mask) in enumerate(zip(masks, true_masks, strict=True)):
            scores[i] = f_measure(trace(crop(mask), size), trace(crop(true_mask), size))
    return torch.from_numpy(scores).reshape(frames).to(preds.device)


def _check(preds: Tensor, target: Tensor) -> None:
    if preds.shape != target.shape or preds.ndim < 3:
        raise ValueError(
            f"preds of shape {tuple(preds.shape)} and target of shape {tuple(target.shape)} were "
            "given, two equal shapes (..., T, H, W) are needed"
        )
    if preds.dtype != torch.bool or target.dtype != torch.bool:
        raise ValueError(
            f"preds of type {preds.dtype} and target of type {target.dtype} were given, bool is "
            "needed: threshold first (logits > 0)"
        )
