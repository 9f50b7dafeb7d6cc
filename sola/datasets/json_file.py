"""Reads JSON without losing keys that are there twice."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

from sola.errors import UserError
from sola.files import refusals


class RepeatedKeys(dict[str, Any]):
    """An object of a JSON file in which keys are there more than once; the last value counts."""

    repeated: tuple[str, ...] = ()


def read_json(path: Path) -> Any:
    """What a JSON file holds; an object with repeated keys is a ``RepeatedKeys``.

    Raises:
        UserError: if the file is no JSON.
    """
    with refusals(path):
        content = path.read_bytes()
    try:
        return json.loads(content.decode("utf-8-sig"), object_pairs_hook=_object)
    except (ValueError, RecursionError) as error:  # of JSON, of text, of numbers without end
        raise UserError(f"{path}: not readable as JSON ({error}). Get the file again.") from error


def repeated_keys(content: object) -> tuple[str, ...]:
    """Keys that are in an object more than once."""
    return content.repeated if isinstance(content, RepeatedKeys) else ()


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) == len(pairs):
        return content
    marked = RepeatedKeys(content)
    marked.repeated = tuple(key for key, count in Counter(k for k, _ in pairs).items() if count > 1)
    return marked
