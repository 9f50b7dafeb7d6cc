"""The page "Every option", made from conf/ and the docstrings of what it names."""

import ast
import inspect
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields
from itertools import pairwise
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from sola.config import entry_points
from sola.config.composition import CONF_DIR, ENTRIES, compose_values
from sola.config.targets import SPECIAL, TARGET, is_node, locate

COMMANDS = {name: name for name in ("generate", "train", "evaluate", "predict")}
COMMANDS |= {"download": "download", "check": "check data"}
SHOWN_WITH = {"prompt_source": "generate", "detector": "generate"}
"""Group -> the command that shows its keys; train shows all others."""
GIVEN = {"first_step", "job_type", "goes_on"}
"""Arguments that the program gives, not the configuration."""
ARGUMENT = re.compile(r"^ {4}(\w+)(?: \(.*?\))?: (.*(?:\n {5,}\S.*)*)", re.MULTILINE)
INTRODUCTION = """\
# Every option

<style>td:first-child code { white-space: nowrap }</style>

This page is made from `conf/` and the docstrings of the classes that it names.

- `group=choice` takes a file of `conf/<group>/`, or of your own folder given by `--config-dir`.
- `section.key=value` changes one value. A key with a plus sign is not set in `conf/`: write
  `+section.key=value`.
- `null` is no value, `~group` leaves a group out, and a list needs quotes: `'key=[a,b]'`.
- `${key}` follows another key, `${.key}` one of the same section.
- Defaults are those of `dataset=moving_shapes`, which chooses small networks. Another data set
  chooses others: `sola train dataset=mevis --help` lists them.
- `hydra.run.dir` is the folder of the run, `hydra.sweep.dir` that of a sweep (`-m`).
"""


def options_page() -> str:
    """The page, in Markdown."""
    commands = [_command(entry, name) for entry, name in COMMANDS.items()]
    return "\n".join([INTRODUCTION, *commands, "## Groups\n", *map(_group, groups())])


def as_typed(value: Any) -> str:
    """A value as it is written behind "=": null, true, [gt, grid], "" for an empty text."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return f"[{', '.join(map(as_typed, value))}]"
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{name}: {as_typed(each)}' for name, each in value.items())}}}"
    return str(value) or '""'


def groups() -> list[str]:
    """Folders of conf/ with files to choose among."""
    return sorted({path.parent.name for path in CONF_DIR.glob("*/*.yaml")})


def head_comment(path: Path) -> str:
    """The comment above the first key of a YAML file; commands as code."""
    head = re.findall(r"\A(?:#.*\n)*", path.read_text())
    lines = [each.lstrip("# ") for each in head[0].splitlines() if "@package" not in each]
    return " ".join(f"`{line}`:" if line.startswith("python ") else line for line in lines)


def meanings(target: Any) -> dict[str, str]:
    """Argument -> its text: Args of docstrings, and the text below fields of data classes."""
    found: dict[str, str] = {}
    for each in target.__mro__ if inspect.isclass(target) else [target]:
        for text in (each.__doc__, getattr(vars(each).get("__init__"), "__doc__", None)):
            args = re.search(r"^Args:\n((?: .*\n|\n)*)", inspect.cleandoc(text or "") + "\n", re.M)
            for name, own in ARGUMENT.findall(args[1]) if args else ():
                if name not in found or found[name].startswith("see ``"):  # of a base class
                    found[name] = " ".join(own.split())
        if "__dataclass_fields__" in vars(each):
            found = _below_fields(each) | found
    return found


def _below_fields(data_class: type) -> dict[str, str]:
    body = ast.parse(inspect.cleandoc(inspect.getsource(data_class))).body[0].body  # type: ignore[attr-defined]
    return {
        field.target.id: " ".join(after.value.value.split())
        for field, after in pairwise(body)
        if isinstance(field, ast.AnnAssign) and isinstance(after, ast.Expr)
    }


def _command(entry: str, name: str) -> str:
    """The keys of a command itself, and of sections that are no groups."""
    composed = compose_values(entry)
    values, chosen = _plain(composed), composed.hydra.runtime.choices
    config_class = getattr(entry_points, ENTRIES[entry].config_class)
    texts, used = meanings(config_class), {field.name for field in fields(config_class)}
    places = [(each.partition("@")[0], each.partition("@")[2] or each) for each in chosen]
    taken = {group for group, key in places if key.partition(".")[0] in {*used, "experiment"}}
    links = ", ".join(f"[{group}](#{group})" for group in groups() if group in taken)
    own = {key: value for key, value in values.items() if key in used and key not in chosen}
    own |= {key: [] for key in ENTRIES[entry].lists}
    rows = [_row(k, config_class, v, texts) for k, v in own.items() if not isinstance(v, Mapping)]
    rows += [row for k, v in own.items() if is_node(v) for row in _rows(v, k)]
    about = composed.hydra.help.header.split("\n\n")[0]
    return _part(f"## sola {name}", f"{about}\n\nGroups: {links}.", rows)


def _group(group: str) -> str:
    """Its choices, and the keys of everything that they name."""
    files = sorted((CONF_DIR / group).glob("*.yaml"))
    choices = [f"| `{group}={path.stem}` | {head_comment(path)} |" for path in files]
    rows: dict[str, str] = {}
    for path in files if group != "experiment" else ():
        key = "prompt_source.detector" if group == "detector" else group
        choice = "prompt_source=gdino" if group == "detector" else f"{group}={path.stem}"
        section = OmegaConf.select(compose_values(SHOWN_WITH.get(group, "train"), [choice]), key)
        rows = {row.split("`")[1]: row for row in _rows(_plain(section), key)} | rows
    rows = {key: row for key, row in rows.items() if key.lstrip("+") == key or key[1:] not in rows}
    return _part(f"### {group}", "\n".join(["| choice | |", "|---|---|", *choices]), rows.values())


def _rows(node: Mapping[str, Any], key: str) -> Iterator[str]:
    """The arguments of a node; of ours also those that are not set."""
    target = locate(node[TARGET], key) if is_node(node) else None
    texts = meanings(target) if target else {}
    for name, value in node.items():
        if name in SPECIAL:
            continue
        is_built = is_node(value) and node.get("_recursive_", True)
        if is_built or (target is None and isinstance(value, Mapping)):
            yield from _rows(value, f"{key}.{name}")
        else:
            yield _row(f"{key}.{name}", target, value, texts)
    if target and target.__module__.startswith("sola."):
        for name, each in inspect.signature(target).parameters.items():
            if name not in node and each.default is not each.empty and name not in GIVEN:
                yield _row(f"+{key}.{name}", target, each.default, texts)


def _row(key: str, target: Any, value: Any, texts: Mapping[str, str]) -> str:
    name, where = key.rpartition(".")[2].lstrip("+"), f"{target.__module__}.{target.__qualname__}"
    parameter = inspect.signature(target).parameters.get(name)
    kind = inspect.formatannotation(parameter.annotation).strip("'") if parameter else ""
    kind = re.sub(r"\b(\w+\.)+(?=\w)", "", kind) if where.startswith("sola.") else ""
    default = f"`{as_typed(value)}`"
    if value == "???" or isinstance(value, Mapping) or "factory" in default:
        default = "required" if value == "???" else "see `--cfg job`"
    cells = [f"`{key}`", f"`{kind}`" if kind else "", default]
    text = texts.get(name, f"see {where}").replace("``", "`")
    text = re.sub(r"(`[^`]*`)|([|*_<])", lambda each: each[1] or f"\\{each[2]}", text)
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} | {text} |"


def _part(heading: str, intro: str, rows: Iterable[str]) -> str:
    rows = list(rows)
    head = ["| key | type | default | meaning |", "|---|---|---|---|"] if rows else []
    return "\n".join([heading, "", intro, "", *head, *rows, ""])


def _plain(section: Any) -> Any:
    return OmegaConf.to_container(section, resolve=False)
