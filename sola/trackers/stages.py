"""Measure the seconds that each stage of tracking takes."""

import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import torch

FRAMES = "frames"
"""Waiting for frames, and resizing them for the network."""
IMAGE_ENCODER = "image encoder"
PROPAGATION = "propagation"
"""Memory attention, mask decoder and memory encoder of the tracker."""
PROMPT_MASKS = "prompt masks"
"""Masks of points or boxes on one frame, resized to the frame's size."""
DETECTOR = "detector"
MASK_FILTERS = "mask filters"
"""Stability scores of the masks of a grid or of boxes, and duplicates among those of a grid."""
CODES = "run-length codes"
FILES = "files"


class _Measurement:
    """Seconds of each stage, without the stages nested in it."""

    def __init__(self, on_stage: Callable[[], None]) -> None:
        self.on_stage, self.seconds = on_stage, defaultdict[str, float](float)
        self.inner_s = 0.0
        """Seconds of the stages that ended inside the running one."""


_running: _Measurement | None = None


@contextmanager
def measure_stages(on_stage: Callable[[], None] = lambda: None) -> Iterator[Mapping[str, float]]:
    """Measure the stages that run inside, in this process.

    Args:
        on_stage: called before each stage, several times per frame. If it raises, the work ends.

    Yields:
        Seconds by stage, updated as stages end. The time of a nested stage counts only for it.
    """
    global _running
    before, _running = _running, _Measurement(on_stage)
    try:
        yield _running.seconds
    finally:
        _running = before


@contextmanager
def stage(name: str) -> Iterator[None]:
    """Add the time spent inside to a stage; costs nothing outside ``measure_stages``."""
    running = _running
    if running is None:
        yield
        return
    running.on_stage()
    start, outer_s, running.inner_s = _now(), running.inner_s, 0.0
    try:
        yield
    finally:
        spent_s = _now() - start
        running.seconds[name] += spent_s - running.inner_s
        running.inner_s = outer_s + spent_s


def _now() -> float:
    if torch.cuda.is_initialized():
        torch.cuda.synchronize()  # kernels belong to the stage that started them
    return time.perf_counter()
