"""Console messages: coloured on a terminal, plain lines in a log file."""

from __future__ import annotations

import logging
import os
import sys
from typing import TYPE_CHECKING

from sola.config.job import is_first_process

if TYPE_CHECKING:
    from rich.console import Console

_OWN_LOGGERS = ("sola", "__main__")
_REPORTS = "pytorch_lightning.profilers"
"""Logger of trainer.profiler=simple, shown at level INFO."""


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
