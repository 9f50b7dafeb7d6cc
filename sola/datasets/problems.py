"""What can be wrong with the files of a data set, and the names in them that are not followed."""

import re
from dataclasses import dataclass
from pathlib import Path

MAX_NAME_BYTES = 200
"""File systems take 255; the rest is for the endings that are added to a name."""

_PLAIN_NAME = re.compile(r"[0-9A-Za-z_-]{1,200}")


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong, or odd."""

    path: Path
    reason: str
    is_error: bool = True
    """It would break a run; otherwise it is odd, but works."""

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}"


def unsafe_name(name: object) -> str:
    """Why a video, frame or expression cannot name a file or folder; "" if it can.

    Names come from files that others wrote and become parts of paths, read and written.
    """
    if not isinstance(name, str):
        return f"is {name!r}, not a text"
    if _PLAIN_NAME.fullmatch(name):
        return ""
    if name in ("", ".", "..") or "/" in name or "\\" in name:
        return "is no name within a folder"
    if not name.isprintable():
        return "holds characters that cannot be printed"
    if len(name.encode()) > MAX_NAME_BYTES:
        return f"is longer than {MAX_NAME_BYTES} bytes"
    return ""


def shorten(name: object, length: int = 60) -> str:
    """A name as a message can show it."""
    text = repr(name) if not isinstance(name, str) or not name.isprintable() else name
    return text if len(text) <= length else f"{text[:length]}..."


def raise_first(problems: list[Problem]) -> None:
    """Refuses to go on with files that have errors.

    Raises:
        ValueError: names the first error, the number of the others and how to see them.
    """
    errors = [problem for problem in problems if problem.is_error]
    if not errors:
        return
    first = str(errors[0]).rstrip(".")
    more = f" ({len(errors) - 1} more errors there)" if len(errors) > 1 else ""
    raise ValueError(
        f"{first}{more}. python -m sola.datasets dataset=... lists everything that is wrong."
    )
