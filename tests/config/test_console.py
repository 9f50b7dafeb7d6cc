"""What reaches the console, on a terminal and elsewhere."""

import io
import logging
import sys
from types import SimpleNamespace

import pytest

from sola.config.console import OwnMessages, console_handler, progress, show_error


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def no_ci(monkeypatch):
    monkeypatch.delenv("CI", raising=False)


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
def test_other_packages_show_warnings_only(logger, level, is_shown):
    record = logging.LogRecord(logger, level, "", 0, "message", None, None)

    assert OwnMessages().filter(record) is is_shown


def test_error_message_is_one_plain_line(capsys):
    show_error("x [red] is missing")

    assert capsys.readouterr().err == "error: x [red] is missing\n"


def test_messages_are_coloured_on_a_terminal_only(monkeypatch):
    from rich.logging import RichHandler

    monkeypatch.setattr(sys, "stderr", Terminal())
    assert isinstance(console_handler(), RichHandler)
    monkeypatch.setenv("CI", "true")
    assert not isinstance(console_handler(), RichHandler)
    monkeypatch.delenv("CI")
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    assert not isinstance(console_handler(), RichHandler)


@pytest.mark.parametrize("is_terminal", [True, False])
def test_progress_shows_count_and_time_left(monkeypatch, caplog, is_terminal):
    stream = Terminal() if is_terminal else io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    clock = iter(range(0, 10_000, 20))
    monkeypatch.setattr("sola.config.console.time", SimpleNamespace(monotonic=lambda: next(clock)))
    caplog.set_level(logging.INFO, "sola")

    with progress("videos", 4) as advance:
        advance()
        advance("a note")
        advance("another", steps=0)

    if is_terminal:
        assert "2/4" in stream.getvalue()
    else:
        assert caplog.messages == [
            "videos: 1/4, 60 s left ",
            "videos: 2/4, 40 s left a note",
            "videos: 2/4, 60 s left another",
        ]


def test_notes_without_steps_do_not_flood_the_log(caplog, monkeypatch):
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    caplog.set_level(logging.INFO, "sola")
    with progress("epochs", 1) as advance:
        advance()
        for number in range(3):
            advance(f"validation {number}", steps=0)
    assert len(caplog.messages) == 1
