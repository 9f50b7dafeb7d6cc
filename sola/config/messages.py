"""Explain why a configuration cannot be composed, from the overrides and not from Hydra's texts."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException, MissingConfigException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import MarkedYAMLError

from sola.config.composition import CONF_DIR, ENTRIES, compose_values
from sola.config.targets import SPECIAL, TARGET, locate, parameters_of
from sola.errors import UserError, did_you_mean, nearest

PLUGINS = {
    "hydra/launcher=joblib": "hydra-joblib-launcher",
    "hydra/launcher=submitit_local": "hydra-submitit-launcher",
    "hydra/launcher=submitit_slurm": "hydra-submitit-launcher",
    "hydra/launcher=ray": "hydra-ray-launcher",
    "hydra/sweeper=optuna": "'sola-rvos[optuna]'",
    "hydra/sweeper=ax": "hydra-ax-sweeper",
    "hydra/sweeper=nevergrad": "hydra-nevergrad-sweeper",
}
"""Packages of Hydra's launchers and sweepers."""


def explain(
    error: BaseException,
    entry: str,
    overrides: Sequence[str] = (),
    *,
    is_sweep: bool = False,
    config_dir: str | None = None,
) -> str:
    """One message for a configuration that cannot be composed.

    Args:
        error: what Hydra or OmegaConf raised.
        entry: the command, see ``composition.ENTRIES``.
        overrides: of the command line.
        is_sweep: -m was given.
        config_dir: the user's own folder of YAML files.
    """
    if isinstance(error, MarkedYAMLError) and error.problem_mark is not None:
        place = f"{error.problem_mark.name}, line {error.problem_mark.line + 1}"
        return f"{place}: not readable as YAML ({error.problem}). Fix the syntax error."
    if isinstance(error, OmegaConfBaseException) and error.full_key:
        return f"{error.full_key}: {str(error.msg or error).splitlines()[0]}"
    plugin = _missing_plugin(error, overrides)
    if plugin:
        return plugin
    folders = [CONF_DIR, *([Path(config_dir)] if config_dir else [])]
    try:
        found = next(_problems(entry, overrides, is_sweep, folders), None)
    except (HydraException, OmegaConfBaseException):
        found = None  # the files themselves do not fit together
    return found or str(error).split("\n\n")[0]


def _missing_plugin(error: BaseException, overrides: Sequence[str]) -> str | None:
    """What to install for a launcher or sweeper that is not there."""
    if not isinstance(error, MissingConfigException):
        return None
    for word in overrides:
        package = PLUGINS.get(word)
        if package is not None and error.missing_cfg_file == word.replace("=", "/"):
            return f"{word}: not installed. Run: pip install {package}"
    return None


def explain_flag(complaint: str, flags: Sequence[str], words: Sequence[str]) -> str:
    """One message for a flag that argparse does not know, or its complaint as it is.

    Args:
        complaint: what argparse says.
        flags: the known ones, such as --help.
        words: the command line.
    """
    unknown = [word for word in words if word.startswith("-") and word.split("=")[0] not in flags]
    if not unknown:
        return complaint
    return f"{unknown[0]}: unknown flag.{did_you_mean(unknown[0].split('=')[0], flags)}"


def _problems(
    entry: str, overrides: Sequence[str], is_sweep: bool, folders: Sequence[Path]
) -> Iterator[str]:
    parser = OverridesParser.create()
    parsed = []
    for text in overrides:
        try:
            parsed.append(parser.parse_override(text))
        except HydraException as error:
            yield (
                f"{text}: cannot be read as key=value ({str(error).splitlines()[0]}). "
                "Values with commas, brackets or spaces need quotes: 'key=[a,b]'."
            )
    search = [f"hydra.searchpath=[file://{each}]" for each in folders[1:]]
    base = compose_values(entry, search)
    known = _choices(base, entry)
    groups = [
        each
        for each in parsed
        if str(each.key_or_group) in known or _options(str(each.key_or_group), folders)
    ]
    taken = list(search)
    for each in sorted(groups, key=lambda each: "@" in str(each.input_line)):
        options = _options(str(each.key_or_group), folders)
        yield from _group_problems(each, _choices(base, entry), options)
        if not each.is_sweep_override():
            taken.append(str(each.input_line))
            base = compose_values(entry, taken)  # a choice may bring groups of its own
    for each in parsed:
        if each not in groups:
            yield from _value_problems(each, base, is_sweep)


def _choices(composed: DictConfig, entry: str) -> dict[str, Any]:
    """What is chosen of every group."""
    lists: dict[str, Any] = dict.fromkeys(ENTRIES[entry].lists)
    return {str(group): each for group, each in composed.hydra.runtime.choices.items()} | lists


def _group_problems(
    each: Override, choices: Mapping[str, Any], options: list[str]
) -> Iterator[str]:
    group = str(each.get_key_element().lstrip("+~"))
    if group not in choices and not each.is_add():
        yield f"{group}: unknown group here.{did_you_mean(group, _own_groups(choices))}"
    if each.is_add() and not each.is_force_add() and choices.get(group) is not None:
        yield f"{group}: has a value already. Write {group}=... without a plus sign."
    if each.is_delete():
        return
    value = list(each.sweep_string_iterator()) if each.is_sweep_override() else each.value()
    for choice in value if isinstance(value, list) else [value]:
        if choice in (None, "null"):
            yield f"{group}=null: a group cannot be null. Write ~{group} to leave it out."
        elif choice not in options:
            guess = nearest(str(choice), options)
            hint = f" Did you mean {group}={guess}?" if guess else ""
            known = f"Known: {', '.join(options)}." if options else "It has no files."
            yield (
                f"{group}={choice}: not found.{hint} {known} Your own file belongs in "
                f"<folder>/{group.partition('@')[0]}/, with --config-dir <folder>."
            )


def _value_problems(each: Override, base: DictConfig, is_sweep: bool) -> Iterator[str]:
    key = str(each.key_or_group)
    exists = _has(base, key)
    if each.is_add() and not each.is_force_add() and exists:
        yield f"{key}: has a value already. Write {key}=... without a plus sign."
    if not each.is_add() and not exists:
        yield _unknown(key, base)
    if each.is_sweep_override() and not is_sweep:
        typed = str(each.input_line).partition("=")[2]
        yield (
            f"{key}={typed}: a comma lists the jobs of a sweep. For a sweep add -m; for a list "
            f"write {key}=[{typed}]; as a part of the value quote it: '{key}=\"{typed}\"'."
        )


def _unknown(key: str, base: DictConfig) -> str:
    if key.startswith("hydra."):
        return f"{key}: unknown key of Hydra. Its keys: --cfg hydra."
    parent, _, name = key.rpartition(".")
    node = OmegaConf.select(base, parent) if parent else base
    siblings = [str(each) for each in node if each not in ("hydra", *SPECIAL)] if _is(node) else []
    more = _parameters(node, parent) if parent else ENTRIES[base.hydra.job.name].lists
    if name in more:
        return f"{key}: not set in conf/. Add it with a plus sign: +{key}=..."
    prefix = f"{parent}." if parent else ""
    if not nearest(name, [*siblings, *more]):
        elsewhere = [each for each in _keys(base) if each.rpartition(".")[2] == name]
        if elsewhere:
            return f"{key}: unknown key. Did you mean {' or '.join(elsewhere[:3])}?"
    known = [*siblings, *(each for each in more if each not in siblings)]
    return f"{key}: unknown key.{did_you_mean(name, known, prefix=prefix)}"


def _parameters(node: Any, key: str) -> list[str]:
    """Arguments of a node's target."""
    if not _is(node) or TARGET not in node:
        return []
    try:
        return list(parameters_of(locate(node[TARGET], key)) or ())
    except UserError:
        return []


def _has(base: DictConfig, key: str) -> bool:
    parent, _, name = key.rpartition(".")
    node = OmegaConf.select(base, parent) if parent else base
    return _is(node) and name in list(node)  # "in node" says no of a value ???


def _is(node: Any) -> bool:
    return isinstance(node, DictConfig) and not node._is_none() and not node._is_missing()


def _keys(node: DictConfig, prefix: str = "") -> Iterator[str]:
    for name in map(str, node):
        if prefix or name != "hydra":
            yield f"{prefix}{name}"
            child: Any = node._get_node(name)
            if _is(child):
                yield from _keys(child, f"{prefix}{name}.")


def _own_groups(choices: Mapping[str, Any]) -> list[str]:
    return [group for group in choices if not group.startswith("hydra/")]


def _options(group: str, folders: Sequence[Path]) -> list[str]:
    """The files of a group; [] if it is none."""
    return sorted({path.stem for each in folders for path in (each / group).glob("*.yaml")})
