"""Whose an error is: a message for the user, a fault of a user's own code, or the program's."""

import dis
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from traceback import extract_tb, format_exception_only, format_list
from typing import NoReturn, TypeVar

Task = TypeVar("Task")
Result = TypeVar("Result")

_PACKAGE_DIR = Path(__file__).parents[1]
_MOST_FRAMES = 8
"""That are shown of a traceback."""
_own_files: set[str] = set()
"""Of modules that users have added, as far as they were found by name."""


class OwnCodeError(Exception):
    """A fault of a user's own code, in the words that it is shown with."""


@dataclass(frozen=True)
class Message:
    """What a ValueError of another process says to the user; its traceback stays there."""

    text: str

    def raise_here(self) -> NoReturn:
        """Tells it in this process."""
        raise ValueError(self.text)


def carried(function: Callable[[Task], Result], task: Task) -> Result | Message:
    """A result, or the message for the user that there is in its place; faults are raised."""
    try:
        return function(task)
    except ValueError as error:
        if not is_our_message(error):
            raise
        return Message(str(error))


def remember_own(path: str) -> None:
    """From here on, faults that come from this file are those of a user's own code."""
    _own_files.add(path)


def shown_path(path: str) -> str:
    """A file as messages name it: from the folder of the program, where it lies there."""
    root = _PACKAGE_DIR.parent
    return str(Path(path).relative_to(root)) if Path(path).is_relative_to(root) else path


def is_our_message(error: Exception) -> bool:
    """Whether a ValueError was written for the user: raised by sola, or by a user's own code.

    One that was computed, such as that of ``int("x")``, is a fault like any other exception.
    """
    if not isinstance(error, ValueError):
        return False
    traceback = error.__traceback__
    if traceback is None:
        return False
    while traceback.tb_next is not None:
        traceback = traceback.tb_next
    code = traceback.tb_frame.f_code
    is_here = Path(code.co_filename).is_relative_to(_PACKAGE_DIR) or code.co_filename in _own_files
    # of the code that runs: its file may have another content by now
    return is_here and dis.opname[code.co_code[traceback.tb_lasti]] == "RAISE_VARARGS"


def line_of_own(error: BaseException) -> str | None:
    """The innermost line of a user's own code that an error came through, None if none."""
    frames = [f for f in extract_tb(error.__traceback__) if f.filename in _own_files]
    return f"{shown_path(frames[-1].filename)}, line {frames[-1].lineno}" if frames else None


def explain_fault(error: BaseException, where: str = "") -> str | None:
    """A fault of a user's own code: a line that says it all, then its frames.

    Args:
        error: anything that was raised.
        where: what it was about, such as a video.

    Returns:
        Some lines, or None where no frame of the traceback lies in a user's own code.
    """
    frames = list(extract_tb(error.__traceback__))
    own = [idx for idx, frame in enumerate(frames) if frame.filename in _own_files]
    if not own:
        return None
    function = frames[own[-1]].name
    about = f" ({where})" if where else ""
    kind = "".join(format_exception_only(error)).strip()
    shown = [f for f in frames[own[0] :] if not f.filename.startswith("<frozen")]
    lines = "".join(_shorten(format_list(shown))).rstrip()
    return (
        f"{line_of_own(error)}, in {function}{about}: {kind}\n{lines}\n"
        "HYDRA_FULL_ERROR=1 shows everything."
    )


@contextmanager
def own_faults_told(where: str = "") -> Iterator[None]:
    """Raises faults of a user's own code as an ``OwnCodeError`` that says where they happened.

    Args:
        where: as for ``explain_fault``.
    """
    try:
        yield
    except Exception as error:
        is_told = isinstance(error, OwnCodeError | OSError) or is_our_message(error)
        fault = None if is_told else explain_fault(error, where)
        if fault is None:
            raise
        raise OwnCodeError(fault) from error


def _shorten(frames: list[str]) -> list[str]:
    if len(frames) <= _MOST_FRAMES:
        return frames
    half = _MOST_FRAMES // 2
    return [*frames[:half], f"  ... {len(frames) - 2 * half} more\n", *frames[-half:]]
