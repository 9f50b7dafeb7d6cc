"""Progress of a long step: a bar with time left on a terminal, now and then a line elsewhere."""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from sola.config.console import is_terminal

log = logging.getLogger(__name__)

LINE_EVERY_S = 10.0
Advance = Callable[..., None]
"""``advance(note="", *, steps=1)``: count steps as done, with a note to show beside them."""


@contextmanager
def progress(title: str, total: int, *, done: int = 0) -> Iterator[Advance]:
    """Show how far a step is.

    Args:
        title: what is being done.
        total: number of things, done before or not.
        done: things that were done before.

    Yields:
        A function to call after each of them, see ``Advance``.
    """
    if not is_terminal():
        yield _lines(title, total, done)
        return
    from rich.console import Console
    from rich.progress import MofNCompleteColumn, Progress, TextColumn

    *columns, left = Progress.get_default_columns()
    columns += [MofNCompleteColumn(), left, TextColumn("{task.fields[note]}")]
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(title, total=total, completed=done, note="")

        def advance(note: str = "", *, steps: int = 1) -> None:
            bar.update(task, advance=steps, note=note)

        yield advance


def _lines(title: str, total: int, before: int) -> Advance:
    start = last = time.monotonic()
    done = 0

    def advance(note: str = "", *, steps: int = 1) -> None:
        nonlocal done, last
        done += steps
        now, num_left = time.monotonic(), total - before - done
        if now - last < LINE_EVERY_S and (num_left > 0 or steps == 0):
            return
        last = now
        left = f", {(now - start) / done * num_left:.0f} s left" if done else ""
        log.info("%s: %d/%d%s %s", title, before + done, total, left, note)

    return advance
