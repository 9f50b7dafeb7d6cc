"""What can be wrong with the files of a data set."""

from dataclasses import dataclass
from pathlib import Path

from sola.errors import UserError


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong, or odd."""

    path: Path
    reason: str
    is_error: bool = True
    """It would break a run; otherwise it is odd, but works."""

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}"


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
    raise UserError(
        f"{first}{more}. python -m sola.datasets dataset=... lists everything that is wrong."
    )
