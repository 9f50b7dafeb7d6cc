"""Checks of constructor arguments; each raises a UserError that begins with the argument's name."""

from collections.abc import Sequence
from typing import Any

from sola.errors import UserError, nearest


def at_least(minimum: float, **values: float | None) -> None:
    """Refuse numbers below a minimum; None passes.

    Raises:
        UserError: if one is below it, or NaN.
    """
    for name, value in values.items():
        if value is not None and not value >= minimum:
            raise UserError(f"{name}: must be at least {minimum}, got {value}.")


def above(limit: float, **values: float | None) -> None:
    """Refuse numbers that are not above a limit; None passes.

    Raises:
        UserError: if one is not.
    """
    for name, value in values.items():
        if value is not None and not value > limit:
            raise UserError(f"{name}: must be above {limit}, got {value}.")


def between(low: float, high: float, **values: float | None) -> None:
    """Refuse numbers outside [low, high]; None passes.

    Raises:
        UserError: if one is outside.
    """
    for name, value in values.items():
        if value is not None and not low <= value <= high:
            raise UserError(f"{name}: must be in [{low}, {high}], got {value}.")


def one_of(known: Sequence[str], **values: Any) -> None:
    """Refuse values that are not among the known ones.

    Raises:
        UserError: if one is not; it names the nearest known one.
    """
    for name, value in values.items():
        if value not in known:
            guess = nearest(str(value), known)
            hint = f" Did you mean {guess}?" if guess else ""
            raise UserError(f"{name}: must be one of {', '.join(known)}, got {value!r}.{hint}")


def folder_name(**values: str) -> None:
    """Refuse names that cannot name one folder.

    Raises:
        UserError: if one is empty, "." or "..", or holds a slash.
    """
    for name, value in values.items():
        if value in ("", ".", "..") or "/" in value or "\\" in value:
            raise UserError(f"{name}: must name one folder (no slash), got {value!r}.")
