"""Where messages for people go: the console, as a terminal or a log file can show them."""

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
"""Loggers whose records at level INFO a user requests by trainer.profiler=simple."""


class OwnMessages(logging.Filter):
    """Passes what sola says, and of other packages only warnings and worse.

    Of the processes of several devices, the first one shows all, the others warnings.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether to show a record."""
        if record.levelno >= logging.WARNING:
            return True
        is_shown = record.name.split(".")[0] in _OWN_LOGGERS or record.name.startswith(_REPORTS)
        return is_first_process() and is_shown


def is_terminal() -> bool:
    """Whether people watch stderr: elsewhere, and in CI (variable CI), plain lines are written."""
    return sys.stderr.isatty() and not os.environ.get("CI")


def console_handler() -> logging.Handler:
    """Handler of the console: coloured on a terminal, plain lines elsewhere (both on stderr)."""
    if is_terminal():
        from rich.console import Console
        from rich.logging import RichHandler

        return RichHandler(console=Console(stderr=True), show_path=False, rich_tracebacks=True)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s", "%H:%M:%S"))
    return handler


def table_console() -> Console:
    """Standard output, at least wide enough for a table."""
    from rich.console import Console

    console = Console()
    console.width = max(console.width, 100)
    return console


def show_error(message: str) -> None:
    """Writes a user's mistake to stderr: in a panel on a terminal, else as ``error: <message>``."""
    if not is_terminal():
        sys.stderr.write(f"error: {message}\n")
        return
    from rich.console import Console
    from rich.panel import Panel
    from rich.text import Text

    Console(stderr=True).print(Panel(Text(message), title="error", border_style="red"))
