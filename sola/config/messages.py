"""What went wrong in a configuration, in words that name the nearest right key or option."""

import re
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from difflib import get_close_matches
from pathlib import Path
from traceback import extract_tb
from typing import Any, get_args, get_origin, get_type_hints

import hydra
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf import OmegaConf
from omegaconf.errors import (
    ConfigAttributeError,
    ConfigKeyError,
    OmegaConfBaseException,
)

_NEEDED = {"Integer": "a whole number", "Float": "a number", "bool": "true or false"}
_CONF_DIR = Path(__file__).parents[2] / "conf"


def explain(error: BaseException, schema: type) -> str | None:
    """One message for a mistake in the configuration.

    Args:
        error: anything raised while Hydra or OmegaConf worked.
        schema: data class of the entry point, whose keys are the right ones.

    Returns:
        The message, or None when the error is not about the configuration.
    """
    chain = list(_chain(error))
    for link in chain:
        if isinstance(link, MissingConfigException):
            return _explain_option(link)
        if isinstance(link, OverrideParseException):
            return (
                f"{link.override}: cannot be read as key=value "
                f"({str(link.message).splitlines()[0]}). "
                "Values with commas, brackets or spaces need quotes: 'key=[a,b]'."
            )
    for link in chain:
        if isinstance(link, OmegaConfBaseException):
            return _explain_key_or_value(link, chain, schema)
    return _explain_composition(error, schema)


def explain_flag(complaint: str, flags: list[str]) -> str:
    """One message for a flag that argparse does not know, or its complaint as it is.

    Args:
        complaint: what argparse says.
        flags: the known ones, such as --help.
    """
    unknown = re.match(r"unrecognized arguments: (\S+)", complaint)
    if not unknown:
        return complaint
    guess = nearest(unknown[1].partition("=")[0], flags)
    hint = f"Did you mean {guess}?" if guess else f"There are {', '.join(flags)}."
    return f"{unknown[1]}: there is no such flag. {hint}"


def known_keys(schema: type, prefix: str = "") -> Iterator[str]:
    """Every dotted key of a data class, sections included, depth first."""
    hints = get_type_hints(schema)
    for field in fields(schema):
        key = prefix + field.name
        yield key
        section = _section_type(hints[field.name])
        if section is not None:
            yield from known_keys(section, f"{key}.")


def nearest(word: str, known: list[str]) -> str | None:
    """The known word most like the given one, None when nothing is alike."""
    matches = get_close_matches(word, known, n=1, cutoff=0.6)
    return matches[0] if matches else None


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error, what it was raised from, and so on."""
    link: BaseException | None = error
    while link is not None:
        yield link
        link = link.__cause__ or link.__context__


def _explain_composition(error: BaseException, schema: type) -> str | None:
    """Hydra's own complaints: its exceptions, and the ValueErrors that it raises itself."""
    raised_by_hydra = isinstance(error, ValueError) and _is_raised_by_hydra(error)
    if not isinstance(error, HydraException) and not raised_by_hydra:
        return None
    message = str(error)
    absent = re.search(r"Could not override '([^'@]+)", message)
    if absent:
        return _unknown_key(absent[1], schema)
    twice = re.search(r"Multiple values for ([^.]+)\.|item is already at '([^']+)'", message)
    if twice:
        key = twice[1] or twice[2]
        return f"{key} has a value already. Write {key}=... without a plus sign."
    several = re.match(r"Ambiguous value for argument '([^=]+)=(.*)'", message)
    if several:
        key, value = several.groups()
        is_list = get_origin(_type_of(key, schema)) is list
        as_list = f"for a list write {key}=[{value}]; " if is_list else ""
        return (
            f"{key}={value}: a comma lists the jobs of a sweep. For a sweep add -m; {as_list}"
            f"as a part of the value quote it: '{key}=\"{value}\"'."
        )
    return message.split("\n\nConfig search path")[0]


def _is_raised_by_hydra(error: BaseException) -> bool:
    frames = extract_tb(error.__traceback__)
    hydra_dir = Path(hydra.__file__).parent
    return bool(frames) and Path(frames[-1].filename).is_relative_to(hydra_dir)


def _explain_option(error: MissingConfigException) -> str:
    group, _, option = (error.missing_cfg_file or "").rpartition("/")
    options = sorted(error.options or [])
    if not options:
        return str(error).split("\n\nConfig search path")[0]
    guess = nearest(option, options)
    hint = f" Did you mean {group}={guess}?" if guess else ""
    return f"{group}={option}: there is no such option.{hint} Options: {', '.join(options)}."


def _explain_key_or_value(
    error: OmegaConfBaseException, chain: list[BaseException], schema: type
) -> str:
    key = str(error.full_key or error.key or "")
    where = next((m[0] for m in (re.match(r"In '[^']+': ", str(e)) for e in chain) if m), "")
    if isinstance(error, ConfigKeyError | ConfigAttributeError):
        return where + _unknown_key(key, schema)
    reason = str(error.msg or error).splitlines()[0].rstrip(".")
    mistyped = re.match(r"Value '(.*)' (?:of type|is not).*(Integer|Float|bool)\b", reason)
    if mistyped:
        return f"{where}{key} is {mistyped[1]!r}; needed is {_NEEDED[mistyped[2]]}."
    if "is not a ListConfig" in reason:
        reason = f"needs a list. Write {key}=[{_overriding_value(chain) or '...'}]"
    return f"{where}{key}: {reason}." if key else f"{where}{reason}."


def _overriding_value(chain: list[BaseException]) -> str:
    """The value of the override that Hydra says it could not merge, "" if it says of none."""
    matches = (re.match(r"Error merging override [^=\s]+=(.+)", str(link)) for link in chain)
    return next((match[1] for match in matches if match), "")


def _unknown_key(key: str, schema: type) -> str:
    if key.startswith("hydra."):
        return f"{key}: Hydra has no such key. Its keys: --cfg hydra."
    known = list(known_keys(schema))
    parent, _, name = key.rpartition(".")
    siblings = [k.rpartition(".")[2] for k in known if k.rpartition(".")[0] == parent]
    guess = nearest(name, siblings)
    if guess:
        return f"{key}: there is no such key. Did you mean {parent}{'.' if parent else ''}{guess}?"
    same_name = [k for k in known if k.rpartition(".")[2] == name]
    if same_name:
        return f"{key}: there is no such key. Did you mean {' or '.join(same_name)}?"
    if not siblings and parent in known:  # a dictionary, whose keys are free
        guess = nearest(name, _keys_in_files(parent))
        hint = f"Did you mean {parent}.{guess}?" if guess else f"To add one: +{key}=..."
        return f"{key}: there is no such key. {hint}"
    if not siblings:
        parent, siblings = "", [k for k in known if "." not in k]
    return (
        f"{key}: there is no such key. Keys of {parent or 'the top level'}: {', '.join(siblings)}."
    )


def _keys_in_files(parent: str) -> list[str]:
    """Keys that the files of a group have in a dictionary such as selector.options."""
    group, _, name = parent.rpartition(".")
    paths = sorted((_CONF_DIR / group).glob("*.yaml"))
    contents = [OmegaConf.select(OmegaConf.load(path), name) for path in paths]
    return [str(key) for content in contents for key in content or {}]


def _type_of(key: str, schema: type) -> Any:
    """The type of a dotted key of a data class, None where there is no such key."""
    hint: Any = schema
    for name in key.split("."):
        section = _section_type(hint)
        hint = None if section is None else get_type_hints(section).get(name)
    return hint


def _section_type(hint: Any) -> type | None:
    """The data class in a type hint such as ``Section`` or ``Section | None``, if it holds one."""
    for candidate in (hint, *get_args(hint)):
        if isinstance(candidate, type) and is_dataclass(candidate):
            return candidate
    return None
