"""Type annotations of arguments that users give in a configuration: what fits, and in words."""

from collections.abc import Sequence
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin

_WORDS = {
    bool: ("true or false", "true or false each"),
    int: ("a whole number", "whole numbers"),
    float: ("a number", "numbers"),
    str: ("a text", "texts"),
}
"""One of them, and several."""


def fits(value: Any, annotation: Any) -> bool:
    """Whether a value of the configuration is what an annotation says.

    int, float (of which a whole number is one), bool, str, list and Sequence of them, and None are
    looked at; a value fits any other annotation.
    """
    if get_origin(annotation) in (Union, UnionType):
        return any(fits(value, each) for each in get_args(annotation))
    if annotation in (None, NoneType):
        return value is None
    if _is_plain(annotation):
        if isinstance(value, bool):
            return annotation is bool
        return isinstance(value, (int, float) if annotation is float else annotation)
    if _is_list(annotation):
        of = (*get_args(annotation), Any)[0]
        return isinstance(value, list | tuple) and all(fits(each, of) for each in value)
    return True


def in_words(annotation: Any) -> str:
    """What an annotation that ``fits`` looks at takes."""
    if get_origin(annotation) in (Union, UnionType):
        return " or ".join(map(in_words, get_args(annotation)))
    if annotation in (None, NoneType):
        return "null"
    if _is_plain(annotation):
        return _WORDS[annotation][0]
    return f"a {_list_in_words(annotation)}"


def _list_in_words(annotation: Any) -> str:
    of = (*get_args(annotation), Any)[0]
    if _is_list(of):
        return f"list of {_list_in_words(of).replace('list', 'lists', 1)}"
    return f"list of {_WORDS[of][1]}" if _is_plain(of) else "list"


def _is_plain(annotation: Any) -> bool:
    return isinstance(annotation, type) and annotation in _WORDS


def _is_list(annotation: Any) -> bool:
    return (get_origin(annotation) or annotation) in (list, Sequence)
