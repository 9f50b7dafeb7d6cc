"""How much goes through a network at a time, lowered where a GPU's memory is too small for it."""

import logging
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import numpy as np
import torch

log = logging.getLogger(__name__)

Result = TypeVar("Result")


class BatchSize:
    """A number of things that are worked on together, which changes time and memory alone.

    Results differ by rounding, as they do between GPUs.
    """

    def __init__(self, things: str, size: int) -> None:
        """Begin with a size.

        Args:
            things: what is counted, for the message.
            size: to begin with.
        """
        self.things, self.size = things, size
        self._whole_size, self._has_said = size, False

    def restore(self) -> None:
        """Try the size of the beginning again, for other work."""
        self.size = self._whole_size

    def run(
        self,
        items: Sequence[object] | np.ndarray,
        work: Callable[[np.ndarray], Result],
        make_room: Callable[[], bool] = lambda: False,
    ) -> Iterator[Result]:
        """What the work gives for batches of the items, in their order.

        Args:
            items: an array; batches are slices of it.
            work: is done again with half of a batch where memory runs out.
            make_room: called where it runs out for a single item; whether it freed something.

        Raises:
            torch.OutOfMemoryError: if a single item is too much.
        """
        array, start = np.asarray(items), 0
        while start < len(array):
            batch = array[start : start + self.size]
            results: list[Result] = []
            try:
                results.append(work(batch))
            except torch.OutOfMemoryError:
                if len(batch) == 1 and not make_room():
                    raise
            if results:  # outside of "except", whose error holds on to the memory
                yield results[0]
                start += len(batch)
            else:
                self._lower(len(batch))

    def _lower(self, failed: int) -> None:
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        self.size = max(1, failed // 2)
        if not self._has_said:
            log.warning(
                "out of GPU memory with %d %s at a time: going on with fewer", failed, self.things
            )
        self._has_said = True
