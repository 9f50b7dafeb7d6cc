"""Whose an error is: a message for the user, a fault of a user's own code, or the program's."""

import linecache
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from traceback import FrameSummary, extract_tb, format_exception_only, format_list

_PACKAGE_DIR = Path(__file__).parents[1]
_MOST_FRAMES = 8
"""That are shown of a traceback."""
_own_files: set[str] = set()
"""Of modules that users have added, as far as they were found by name."""


class OwnCodeError(Exception):
    """A fault of a user's own code, in the words that it is shown with."""


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
    frame = extract_tb(error.__traceback__)[-1]
    is_here = Path(frame.filename).is_relative_to(_PACKAGE_DIR) or frame.filename in _own_files
    return is_here and _is_raised(frame)


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


def _is_raised(frame: FrameSummary) -> bool:
    """Whether the frame stopped at a raise statement, and not at something that one computes."""
    line = linecache.getline(frame.filename, frame.lineno or 0)
    statement = line.lstrip() if frame.colno is None else line.encode()[frame.colno :].decode()
    return re.match(r"raise\b", statement) is not None


def _shorten(frames: list[str]) -> list[str]:
    if len(frames) <= _MOST_FRAMES:
        return frames
    half = _MOST_FRAMES // 2
    return [*frames[:half], f"  ... {len(frames) - 2 * half} more\n", *frames[-half:]]
