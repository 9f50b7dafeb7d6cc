"""Errors shown to users as a message, and hints for misspelt words."""

from collections.abc import Sequence
from difflib import get_close_matches

MAX_LISTED = 12


class UserError(Exception):
    """A mistake that the user can fix; its text says where, what is wrong and how to fix it.

    Entry points show it as one message with exit status 1. Every other exception is a bug and
    keeps its traceback.
    """


class FileRefused(UserError):
    """The system refused to read a file, so nothing is known about its content.

    Nothing may be deleted, overwritten or called damaged because of it.
    """


class DamagedFile(UserError):
    """A file was read, and its content is wrong."""


def nearest(word: str, known: Sequence[str]) -> str | None:
    """Return the known word most similar to the given one; None if none is similar."""
    matches = get_close_matches(word, known, n=1, cutoff=0.6)
    return matches[0] if matches else None


def did_you_mean(word: str, known: Sequence[str], *, prefix: str = "") -> str:
    """Return a sentence to append: the nearest known word, or all known words; "" for none."""
    guess = nearest(word, known)
    if guess:
        return f" Did you mean {prefix}{guess}?"
    if not known:
        return ""
    more = f", and {len(known) - MAX_LISTED} more" if len(known) > MAX_LISTED else ""
    return f" Known: {', '.join(list(known)[:MAX_LISTED])}{more}."
