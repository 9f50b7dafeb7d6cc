"""Seconds by stage of what is done with a video."""

import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import torch

FRAMES = "frames"
"""Waiting for frames, and bringing them to the network's size."""
IMAGE_ENCODER = "image encoder"
PROPAGATION = "propagation"
"""Memory attention, mask decoder and memory encoder of the tracker."""
PROMPT_MASKS = "prompt masks"
"""Masks of points or boxes on one frame, up to masks in the frame's size."""
DETECTOR = "detector"
MASK_FILTERS = "mask filters"
"""Stability of the masks of a grid or of boxes; of a grid, also which are the same."""
CODES = "run-length codes"
RULES = "prompt rules"
"""Parts, duplicates."""
LABELS = "labels"
FILES = "files"

NETWORKS = (IMAGE_ENCODER, PROPAGATION, PROMPT_MASKS, DETECTOR)
"""Stages in which the tracker or the detector computes."""


class _Clock:
    """Seconds of each stage, without those of the stages inside it."""

    def __init__(self, on_stage: Callable[[], None]) -> None:
        self.on_stage, self.seconds = on_stage, defaultdict[str, float](float)
        self._running: list[str] = []
        self._since = 0.0

    def switch(self, name: str | None) -> None:
        """Enter a stage, or leave the innermost one (None)."""
        if torch.cuda.is_initialized():
            torch.cuda.synchronize()  # kernels belong to the stage that started them
        now = time.perf_counter()
        if self._running:
            self.seconds[self._running[-1]] += now - self._since
        self._since = now
        if name is None:
            self._running.pop()
        else:
            self._running.append(name)


_clock: _Clock | None = None


@contextmanager
def measure_stages(on_stage: Callable[[], None] = lambda: None) -> Iterator[Mapping[str, float]]:
    """Measure the stages that run inside, in this process.

    Args:
        on_stage: called before each stage, several times a frame. What it raises ends the work.

    Yields:
        Seconds by stage, which grow meanwhile. The time of an inner stage counts for it only.
    """
    global _clock
    before, _clock = _clock, _Clock(on_stage)
    try:
        yield _clock.seconds
    finally:
        _clock = before


@contextmanager
def stage(name: str) -> Iterator[None]:
    """Add the time inside to a stage. Free if nobody measures."""
    clock = _clock
    if clock is None:
        yield
        return
    clock.on_stage()
    clock.switch(name)
    try:
        yield
    finally:
        clock.switch(None)
