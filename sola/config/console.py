"""Console output: log messages, and the progress of long steps.

Messages are coloured and progress is a bar on a terminal; elsewhere both are plain lines.
"""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from sola.config.processes import is_first_process

if TYPE_CHECKING:
    from rich.console import Console

log = logging.getLogger(__name__)

_OWN_LOGGERS = ("sola", "__main__")
_REPORTS = "pytorch_lightning.profilers"
"""Logger of trainer.profiler=simple, shown at level INFO."""
LINE_EVERY_S = 10.0
Advance = Callable[..., None]
"""``advance(note="", *, steps=1)``: advance by some steps, and show a note beside the bar."""


class OwnMessages(logging.Filter):
    """Pass all records of sola, and warnings of other packages; only rank 0 passes INFO."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether to show a record."""
        if record.levelno >= logging.WARNING:
            return True
        is_shown = record.name.split(".")[0] in _OWN_LOGGERS or record.name.startswith(_REPORTS)
        return is_first_process() and is_shown


def is_terminal() -> bool:
    """Return whether stderr is a terminal; False in CI (environment variable CI)."""
    return sys.stderr.isatty() and not os.environ.get("CI")


def console_handler() -> logging.Handler:
    """Return the handler for stderr: coloured on a terminal, plain lines elsewhere."""
    if is_terminal():
        from rich.console import Console
        from rich.logging import RichHandler

        return RichHandler(console=Console(stderr=True), show_path=False, rich_tracebacks=True)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s", "%H:%M:%S"))
    return handler


def table_console() -> Console:
    """Return a console on standard output that is wide enough for a table."""
    from rich.console import Console

    console = Console()
    console.width = max(console.width, 100)
    return console


def show_error(message: str) -> None:
    """Write an error message to stderr."""
    sys.stderr.write(f"error: {message}\n")


@contextmanager
def progress(title: str, total: int, *, done: int = 0) -> Iterator[Advance]:
    """Show the progress of a long step.

    Args:
        title: name of the step.
        total: total number of items, including those done before.
        done: number of items done before.

    Yields:
        A function to call after each item, see ``Advance``.
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
