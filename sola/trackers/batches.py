"""Batch sizes that shrink when a GPU runs out of memory."""

import logging
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import numpy as np
import torch

log = logging.getLogger(__name__)

Result = TypeVar("Result")


class BatchSize:
    """Number of items that go through a network together. Results change only by rounding.

    Args:
        items: name of the items, for the log.
        size: initial size; by default all items.
    """

    def __init__(self, items: str, size: int = sys.maxsize) -> None:
        self.items, self.size, self._has_warned = items, size, False

    def run(
        self,
        items: Sequence[object] | np.ndarray,
        work: Callable[[np.ndarray], Result],
        make_room: Callable[[], bool] = lambda: False,
    ) -> Iterator[Result]:
        """Yield the results of batches of the items, in their order.

        Args:
            items: an array; batches are slices of it.
            work: computes a batch, and never returns None; called again with half of the batch if
                memory runs out.
            make_room: called if a single item is too large; returns whether it freed memory.

        Raises:
            torch.OutOfMemoryError: if a single item is too large.
        """
        array, start = np.asarray(items), 0
        while start < len(array):
            batch = array[start : start + self.size]
            result: Result | None = None
            try:
                result = work(batch)
            except torch.OutOfMemoryError:
                if len(batch) == 1 and not make_room():
                    raise
            if result is None:  # outside "except", whose error keeps the memory alive
                self._halve(len(batch))
            else:
                yield result
                start += len(batch)

    def _halve(self, failed: int) -> None:
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        self.size = max(1, failed // 2)
        if not self._has_warned:
            log.warning("out of GPU memory with %d %s at a time: using fewer", failed, self.items)
        self._has_warned = True
