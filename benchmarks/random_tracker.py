"""Helpers of the tracking benchmarks: a SAM 2 with random weights, masks, precision, timing."""

import contextlib
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from sola.trackers.sam2.builder import NETWORK, build_network, network_settings

SEED, WEIGHT_SCALE = 1, 2.0
"""Seed and scale of random weights that give varied masks."""
PRECISIONS = {"float32": None, "bf16": torch.bfloat16}


def build_random(packaged_model: str, size: int, target: str = NETWORK) -> Any:
    """Build a network of sam2 for another image size; every target has the same weights."""
    settings = network_settings(packaged_model)
    settings.image_size = size
    torch.manual_seed(SEED)
    network = build_network(settings, target)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if parameter.ndim > 1 and ("sam_mask_decoder" in name or "memory_" in name):
                parameter.mul_(WEIGHT_SCALE)
    return network


def draw_rectangles(num_masks: int, size: int, rng: np.random.Generator) -> np.ndarray:
    """Draw rectangles of different size and place, (n, size, size) bool."""
    masks = np.zeros((num_masks, size, size), bool)
    for mask in masks:
        top, left = rng.integers(0, size // 2, 2)
        height, width = rng.integers(size // 8, size // 2, 2)
        mask[top : top + height, left : left + width] = True
    return masks


def in_precision(name: str, device: str) -> contextlib.AbstractContextManager[Any]:
    """Return the context of Lightning's bf16-mixed, or none."""
    if PRECISIONS[name] is None:
        return contextlib.nullcontext()
    return torch.autocast(torch.device(device).type, PRECISIONS[name], cache_enabled=False)


def timed(function: Callable[[], Any], device: str) -> tuple[float, Any]:
    """Return the seconds until the device has finished, and the result."""
    _synchronize(device)
    start = time.perf_counter()
    result = function()
    _synchronize(device)
    return time.perf_counter() - start, result


def _synchronize(device: str) -> None:
    if torch.device(device).type == "cuda":
        torch.cuda.synchronize(device)
