"""Region similarity J and boundary measure F of masklets, frame by frame."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sola.masks import common_size
from sola.masks.frame_bits import FrameBits, pack_masks, pack_runs
from sola.masks.runs import Runs, find_runs, jaccard
from sola.metrics.boundary import Boundary, f_measures, tolerance_radius_px
from sola.types import Masklet

# (..., T, H, W) bool or integers (nonzero is inside) on any device, or T run-length masks
Masks = Tensor | NDArray[Any] | Masklet


def region_similarity(preds: Masks, target: Masks) -> Tensor:
    """Return the Jaccard index J of each predicted masklet and its target, frame by frame.

    A frame empty in both scores 1: predicting absence is correct.

    Args:
        preds: (..., T, H, W) bool or integers, or T run-length masks: predicted masklets.
        target: the ground-truth masklets, of the same shape.

    Returns:
        (..., T) float64 in [0, 1], on the device of ``preds``, computed on the CPU. Papers report
        its mean over T, then over expressions.

    Raises:
        ValueError: if the shapes differ or have fewer than three dimensions, values are not
            integers, or only one side is in run-length form.
    """
    return _measure(preds, target, _jaccard_of_pixels, jaccard)


def boundary_f_measure(preds: Masks, target: Masks) -> Tensor:
    """Return the boundary measure F of each predicted masklet and its target, frame by frame.

    This is DAVIS's definition: the F-measure of boundary pixels, which match within a disk of
    radius ceil(0.008 * diagonal). A frame without a boundary in both scores 1, in only one 0.

    Args:
        preds: (..., T, H, W) bool or integers, or T run-length masks: predicted masklets.
        target: the ground-truth masklets, of the same shape.

    Returns:
        (..., T) float64 in [0, 1], on the device of ``preds``, computed on the CPU.

    Raises:
        ValueError: see ``region_similarity``.
    """

    def of_pixels(preds: NDArray[np.bool_], target: NDArray[np.bool_]) -> NDArray[np.float64]:
        height, width = preds.shape[1:]
        return _f_of_bits(pack_masks(preds), pack_masks(target), (height, width))

    def of_runs(preds: Runs, target: Runs) -> NDArray[np.float64]:
        return _f_of_bits(pack_runs(preds), pack_runs(target), preds.size)

    return _measure(preds, target, of_pixels, of_runs)


def _measure(
    preds: Masks,
    target: Masks,
    of_pixels: Callable[[NDArray[np.bool_], NDArray[np.bool_]], NDArray[np.float64]],
    of_runs: Callable[[Runs, Runs], NDArray[np.float64]],
) -> Tensor:
    """Return scores of masks in either form, on the device of ``preds``."""
    if isinstance(preds, list) and isinstance(target, list):
        if len(preds) != len(target):
            raise ValueError(f"preds has {len(preds)} frames, target {len(target)}")
        size = common_size([preds, target]) or (1, 1)
        return torch.from_numpy(of_runs(find_runs(preds, size), find_runs(target, size)))
    if isinstance(preds, list) or isinstance(target, list):
        raise ValueError("preds, target: only one is in run-length form. Encode or decode one.")
    masks, true_masks = _as_bool(preds), _as_bool(target)
    if masks.shape != true_masks.shape or masks.ndim < 3:
        raise ValueError(
            "preds, target: expected two equal shapes (..., T, H, W), got "
            f"{masks.shape} and {true_masks.shape}"
        )
    # (..., T, H, W) -> (frames, H, W)
    *frames, height, width = masks.shape
    flat = (x.reshape(math.prod(frames), height, width) for x in (masks, true_masks))
    scores = torch.from_numpy(of_pixels(*flat)).reshape(frames)
    return scores.to(preds.device) if isinstance(preds, Tensor) else scores


def _as_bool(masks: Tensor | NDArray[Any]) -> NDArray[np.bool_]:
    array = masks.detach().cpu().numpy() if isinstance(masks, Tensor) else masks
    if array.dtype.kind not in "biu":
        raise ValueError(
            f"masks: expected bool or integers, got {array.dtype}. Threshold first (logits > 0)."
        )
    return array.astype(bool, copy=False)


def _jaccard_of_pixels(preds: NDArray[np.bool_], target: NDArray[np.bool_]) -> NDArray[np.float64]:
    pairs = zip(preds, target, strict=True)
    counts = [(np.count_nonzero(p & t), np.count_nonzero(p | t)) for p, t in pairs]
    shared, union = np.array(counts, dtype=np.int64).reshape(-1, 2).T
    return np.where(union == 0, 1.0, shared / np.maximum(union, 1))


def _f_of_bits(
    preds: list[FrameBits], target: list[FrameBits], size: tuple[int, int]
) -> NDArray[np.float64]:
    radius_px = tolerance_radius_px(size)
    return f_measures(*([Boundary(bits, radius_px) for bits in x] for x in (preds, target)))
