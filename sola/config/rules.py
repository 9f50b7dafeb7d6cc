"""Rules that many values share, each a generator of what is wrong."""

from collections.abc import Iterator

from sola.config.messages import nearest

Problems = Iterator[str]


def one_of(name: str, value: str, known: tuple[str, ...]) -> Problems:
    """A name that is known; others get the nearest one."""
    if value not in known:
        guess = nearest(value, list(known))
        hint = f" Did you mean {guess}?" if guess else ""
        yield f"{name} is {value!r}; known are {', '.join(known)}.{hint}"


def at_least(minimum: int, name: str, value: float) -> Problems:
    """A number that is not below another."""
    if not value >= minimum:
        yield f"{name} is {value}; it is at least {minimum}."


def above_zero(name: str, value: float) -> Problems:
    """A number above 0."""
    if not value > 0:
        yield f"{name} is {value}; it is above 0."


def in_unit_interval(name: str, value: float) -> Problems:
    """A number from 0 to 1."""
    if not 0 <= value <= 1:
        yield f"{name} is {value}; it lies in [0, 1]."


def divisible(name: str, value: int, divisor_name: str, divisor: int) -> Problems:
    """A whole number without remainder by another value."""
    if value % divisor:
        yield f"{name} ({value}) is not divisible by {divisor_name} ({divisor})."
