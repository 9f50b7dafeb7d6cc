"""Measure the seconds that each stage of tracking takes."""

import itertools
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


MAX_EDGES = 10_000
"""Edges of stages that are kept, at most, before their times are read."""


class _Measurement:
    """Seconds of each stage, without the stages nested in it.

    Reading the time of the GPU at an edge would stop the host. So each edge records an event, and
    the times are read at the end.
    """

    def __init__(self, on_stage: Callable[[], None]) -> None:
        self.on_stage, self.seconds = on_stage, defaultdict[str, float](float)
        self.names: list[str] = []
        """Stages that are running, outermost first."""
        self._edges: list[tuple[str, float, torch.cuda.Event | None]] = []
        """Innermost stage before the edge, time of the host and event of the GPU."""

    def add_edge(self) -> None:
        """Note the time between two stages."""
        event = torch.cuda.Event(enable_timing=True) if torch.cuda.is_initialized() else None
        if event is not None:
            event.record()
        name = self.names[-1] if self.names else ""
        self._edges.append((name, time.perf_counter(), event))
        if len(self._edges) > MAX_EDGES:
            self.read()

    def read(self) -> None:
        """Add the times between the edges to the stages; waits for the GPU."""
        if self._edges and (last := self._edges[-1][2]) is not None:
            last.synchronize()
        for (_, start_s, start), (name, end_s, end) in itertools.pairwise(self._edges):
            spent_s = start.elapsed_time(end) / 1000 if start and end else end_s - start_s
            if name:
                self.seconds[name] += spent_s
        del self._edges[:-1]


_running: _Measurement | None = None


@contextmanager
def measure_stages(on_stage: Callable[[], None] = lambda: None) -> Iterator[Mapping[str, float]]:
    """Measure the stages that run inside, in this process.

    Args:
        on_stage: called before each stage, several times per frame. If it raises, the work ends.

    Yields:
        Seconds by stage, complete at the end. The time of a nested stage counts only for it. On a
        GPU, a stage lasts until the GPU has finished its work.
    """
    global _running
    before, _running = _running, _Measurement(on_stage)
    running = _running
    try:
        yield running.seconds
    finally:
        _running = before
    running.read()


@contextmanager
def stage(name: str) -> Iterator[None]:
    """Add the time spent inside to a stage; costs nothing outside ``measure_stages``.

    An exception gets the name of its innermost stage as a note.
    """
    running = _running
    if running is None:
        yield
        return
    running.on_stage()
    running.add_edge()
    running.names.append(name)
    try:
        yield
    except Exception as error:
        if not hasattr(error, "__notes__"):  # an inner stage has failed
            error.add_note(name)
        raise
    finally:
        running.add_edge()
        running.names.pop()
