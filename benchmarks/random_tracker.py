"""What the benchmarks of tracking share: a SAM 2 with random weights, masks, precision, clock."""

import contextlib
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from sola.trackers.sam2.builder import NETWORK, build_network, network_settings

SEED, WEIGHT_SCALE = 1, 2.0
"""Random weights of which the masks vary."""
PRECISIONS = {"float32": None, "bf16": torch.bfloat16}


def build_random(packaged_model: str, size: int, target: str = NETWORK) -> Any:
    """A network of the sam2 package for another image size; every target has the same weights."""
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
    """(n, size, size) bool, rectangles of different size and place."""
    masks = np.zeros((num_masks, size, size), bool)
    for mask in masks:
        top, left = rng.integers(0, size // 2, 2)
        height, width = rng.integers(size // 8, size // 2, 2)
        mask[top : top + height, left : left + width] = True
    return masks


def in_precision(name: str, device: str) -> contextlib.AbstractContextManager[Any]:
    """The context that Lightning's bf16-mixed runs in, or none."""
    if PRECISIONS[name] is None:
        return contextlib.nullcontext()
    return torch.autocast(torch.device(device).type, PRECISIONS[name], cache_enabled=False)


def timed(function: Callable[[], Any], device: str) -> tuple[float, Any]:
    """Seconds until the device has done it, and its result."""
    _synchronize(device)
    start = time.perf_counter()
    result = function()
    _synchronize(device)
    return time.perf_counter() - start, result


def _synchronize(device: str) -> None:
    if torch.device(device).type == "cuda":
        torch.cuda.synchronize(device)
