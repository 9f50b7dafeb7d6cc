"""What to do when a GPU runs out of memory: free what is cached, then take smaller batches."""

import logging
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import numpy as np
import torch

log = logging.getLogger(__name__)

Result = TypeVar("Result")
OUT_OF_MEMORY = (
    "CUDA error: out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED",
    "CUDNN_STATUS_NOT_SUPPORTED",  # no algorithm fits into the memory that is left
)
"""Errors of CUDA's libraries that run out of memory; torch raises them as RuntimeError."""


def is_out_of_memory(error: RuntimeError) -> bool:
    """Return whether a GPU ran out of memory, in torch or in a library."""
    is_torchs = isinstance(error, torch.OutOfMemoryError)
    return is_torchs or any(text in str(error) for text in OUT_OF_MEMORY)


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
            make_room: called before a batch is halved; returns whether it freed memory, and then
                the same batch is tried again.

        Raises:
            RuntimeError: if a single item is too large; see ``is_out_of_memory``.
        """
        array, start = np.asarray(items), 0
        while start < len(array):
            batch = array[start : start + self.size]
            result: Result | None = None
            has_room = False
            try:
                result = work(batch)
            except RuntimeError as error:
                if not is_out_of_memory(error):
                    raise
                has_room = make_room()
                if len(batch) == 1 and not has_room:
                    raise
            if result is not None:
                yield result
                start += len(batch)
                continue
            # outside "except", whose error keeps the memory alive
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
            if not self._has_warned:
                message = "out of GPU memory with %d %s at a time: using fewer, or caching less"
                log.warning(message, len(batch), self.items)
            self._has_warned = True
            if not has_room:
                self.size = max(1, len(batch) // 2)
