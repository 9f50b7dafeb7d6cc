"""What reaches the console, on a terminal and elsewhere."""

import io
import logging
import sys

import pytest

from sola.config.console import OwnMessages, console_handler, show_error


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("logger", "level", "is_shown"),
    [
        ("sola.training.run", logging.INFO, True),
        ("__main__", logging.INFO, True),
        ("root", logging.INFO, False),
        ("pytorch_lightning.utilities", logging.INFO, False),
        ("solar", logging.INFO, False),
        ("pytorch_lightning.utilities", logging.WARNING, True),
    ],
)
def test_of_other_packages_only_warnings_are_shown(logger, level, is_shown):
    record = logging.LogRecord(logger, level, "", 0, "message", None, None)

    assert OwnMessages().filter(record) is is_shown


def test_a_terminal_gets_a_panel_and_a_file_gets_a_line(monkeypatch):
    terminal, file = Terminal(), io.StringIO()
    monkeypatch.setattr(sys, "stderr", terminal)
    show_error("x [red] is missing")
    monkeypatch.setattr(sys, "stderr", file)
    show_error("x [red] is missing")

    assert "╭" in terminal.getvalue()
    assert "x [red] is missing" in terminal.getvalue()
    assert file.getvalue() == "error: x [red] is missing\n"


def test_a_terminal_gets_messages_with_colours_and_a_file_plain_ones(monkeypatch):
    from rich.logging import RichHandler

    monkeypatch.setattr(sys, "stderr", Terminal())
    assert isinstance(console_handler(), RichHandler)
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    assert not isinstance(console_handler(), RichHandler)
