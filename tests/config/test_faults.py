"""Whose an error is."""

import importlib
import sys
from pathlib import Path

import pytest

from sola.config import faults
from sola.config.faults import is_our_message

MODULE = """
def said():
    raise ValueError(
        "what to do"
    )


def said_of_another():
    try:
        int("x")
    except ValueError as error:
        raise ValueError("what to do") from error


def said_again():
    error = ValueError("what to do")
    if error: raise error


def computed():
    return int("x")


def unpacked():
    a, b = [1]


def other():
    raise TypeError("what to do")
"""


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        *[(name, True) for name in ("said", "said_of_another", "said_again")],
        *[(name, False) for name in ("computed", "unpacked", "other")],
    ],
)
@pytest.mark.parametrize("is_edited", [False, True])
def test_a_message_is_what_a_raise_statement_made(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    function: str,
    *,
    expected: bool,
    is_edited: bool,
) -> None:
    path = tmp_path / "own_module.py"
    path.write_text(MODULE)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "own_module", raising=False)
    module = importlib.import_module("own_module")
    monkeypatch.setattr(faults, "_own_files", {str(path)})
    if is_edited:  # while the program runs
        path.write_text("# one\n# more\n" * 9 + MODULE)
    with pytest.raises((ValueError, TypeError)) as caught:
        vars(module)[function]()
    assert is_our_message(caught.value) is expected
