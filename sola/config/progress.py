"""Progress of a long step: a bar with time left on a terminal, now and then a line elsewhere."""

import logging
import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from sola.config.console import is_terminal

log = logging.getLogger(__name__)

LINE_EVERY_S = 10.0


class Advance(Protocol):
    """Moves the progress of a step on."""

    def __call__(self, note: str = "", *, steps: int = 1) -> None:
        """Count things as done, 0 or more, with a short note to show beside them."""


@contextmanager
def progress(title: str, total: int, *, done: int = 0) -> Iterator[Advance]:
    """Show how far a step is.

    Args:
        title: what is being done.
        total: number of things, done before or not.
        done: things that were done before.

    Yields:
        A function to call after each of them.
    """
    if is_terminal():
        with _bar(title, total, done) as advance:
            yield advance
    else:
        yield _lines(title, total, done)


@contextmanager
def _bar(title: str, total: int, before: int) -> Iterator[Advance]:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[rate]}"),
        TextColumn("{task.fields[note]}"),
    )
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(title, total=total, completed=before, note="", rate="")
        start, done = time.monotonic(), 0

        def advance(note: str = "", *, steps: int = 1) -> None:
            nonlocal done
            done += steps
            rate = _rate(done, time.monotonic() - start)
            bar.update(task, advance=steps, note=note, rate=rate)

        yield advance


def _lines(title: str, total: int, before: int) -> Advance:
    start = last = time.monotonic()
    done = 0

    def advance(note: str = "", *, steps: int = 1) -> None:
        nonlocal done, last
        done += steps
        now = time.monotonic()
        num_left = total - before - done
        if now - last < LINE_EVERY_S and (num_left > 0 or steps == 0):
            return
        last = now
        left = f"{(now - start) / done * num_left:.0f} s left" if done else "begun"
        more = f" {note}" if note else ""
        rate = _rate(done, now - start)
        log.info("%s: %d/%d, %s, %s%s", title, before + done, total, rate, left, more)

    return advance


def _rate(done: int, seconds: float) -> str:
    """How many things a second, with two digits that count: 0.031/s, 4.2/s, 180/s."""
    rate = done / max(seconds, 1e-3)
    decimals = 0 if rate == 0 else max(0, 1 - math.floor(math.log10(rate)))
    digits = f"{rate:.{decimals}f}"
    return f"{digits.rstrip('0').rstrip('.') if decimals else digits}/s"
