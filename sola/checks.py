"""Check constructor arguments; each error message starts with the argument's name."""

from collections.abc import Sequence
from typing import Any

from sola.errors import UserError, nearest


def at_least(minimum: float, **values: float | None) -> None:
    """Check that numbers are at least a minimum; None passes.

    Raises:
        UserError: if a number is below the minimum, or NaN.
    """
    for name, value in values.items():
        if value is not None and not value >= minimum:
            raise UserError(f"{name}: must be at least {minimum}, got {value}.")


def above(limit: float, **values: float | None) -> None:
    """Check that numbers are above a limit; None passes.

    Raises:
        UserError: if a number is not above the limit, or NaN.
    """
    for name, value in values.items():
        if value is not None and not value > limit:
            raise UserError(f"{name}: must be above {limit}, got {value}.")


def between(low: float, high: float, **values: float | None) -> None:
    """Check that numbers are in [low, high]; None passes.

    Raises:
        UserError: if a number is outside, or NaN.
    """
    for name, value in values.items():
        if value is not None and not low <= value <= high:
            raise UserError(f"{name}: must be in [{low}, {high}], got {value}.")


def one_of(known: Sequence[str], **values: Any) -> None:
    """Check that values are among the known ones.

    Raises:
        UserError: if a value is unknown; the message names the nearest known one.
    """
    for name, value in values.items():
        if value not in known:
            guess = nearest(str(value), known)
            hint = f" Did you mean {guess}?" if guess else ""
            raise UserError(f"{name}: must be one of {', '.join(known)}, got {value!r}.{hint}")


def folder_name(**values: str) -> None:
    """Check that values are valid names of a single folder.

    Raises:
        UserError: if a name is empty, "." or "..", or contains a slash.
    """
    for name, value in values.items():
        if value in ("", ".", "..") or "/" in value or "\\" in value:
            raise UserError(f"{name}: must name one folder (no slash), got {value!r}.")
