"""The same function of many things, over several processes; the results are those of one."""

import multiprocessing
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from typing import TypeVar

Task = TypeVar("Task")
Result = TypeVar("Result")

TASKS_AHEAD = 2
"""Tasks a process that exist at a time: enough to keep it busy, few enough for memory."""


def map_in_order(
    function: Callable[[Task], Result], tasks: Iterable[Task], num_workers: int
) -> Iterator[Result]:
    """Results in the order of the tasks; an exception of a worker process is raised here.

    Args:
        function: one that can be pickled, whose result depends on its task alone.
        tasks: made one at a time, in this process.
        num_workers: further processes that compute; 0: this one does.
    """
    if num_workers == 0:
        yield from map(function, tasks)
        return
    # Forking a process in which torch and HDF5 are at work is not safe.
    context = multiprocessing.get_context("spawn")
    waiting: deque[Future[Result]] = deque()
    with ProcessPoolExecutor(num_workers, context) as pool:
        for task in tasks:
            waiting.append(pool.submit(function, task))
            if len(waiting) > TASKS_AHEAD * num_workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
