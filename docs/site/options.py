"""The page "Every option", made from conf/ and the docstrings of what it names."""

import ast
import inspect
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from sola.config import entry_points
from sola.config.composition import CONF_DIR, ENTRIES, compose_values
from sola.config.help import as_typed
from sola.config.targets import SPECIAL, TARGET, is_node, locate

COMMANDS = {"generate": "generate", "train": "train", "evaluate": "evaluate", "predict": "predict"}
COMMANDS |= {"check": "check data"}
SHOWN_WITH = {"prompt_source": "generate", "detector": "generate"}
"""Group -> the command that shows its keys; train shows all others."""
GIVEN = {"first_step", "job_type", "goes_on"}
"""Arguments that the program gives, not the configuration."""
SEE = re.compile(r"see ``(.*)``\.?")
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


def groups() -> list[str]:
    """Folders of conf/ with files to choose among."""
    return sorted({path.parent.name for path in CONF_DIR.glob("*/*.yaml")})


def head_comment(path: Path) -> str:
    """The comment above the first key of a YAML file; commands as code."""
    head = re.match(r"(#.*\n)*", path.read_text())
    lines = [line.lstrip("# ") for line in head[0].splitlines() if "@package" not in line] if head else []
    return " ".join(f"`{line}`:" if line.startswith("python ") else line for line in lines)


def meanings(target: Any) -> dict[str, str]:
    """Argument -> its text: Args of docstrings, and the text below fields of data classes."""
    found: dict[str, str] = {}
    for each in target.__mro__ if inspect.isclass(target) else [target]:
        for text in (each.__doc__, getattr(vars(each).get("__init__"), "__doc__", None)):
            args = inspect.cleandoc(text or "").partition("Args:\n")[2].split("\n\n")[0]
            for name, own in re.findall(r"^ {2,8}(\w+): (.*(?:\n {8,}.*)*)", args, re.MULTILINE):
                if not SEE.fullmatch(found.get(name, "see ``base``")):
                    continue
                found[name] = " ".join(own.split())
        if "__dataclass_fields__" in vars(each):
            found = _below_fields(each) | found
    return found


def _below_fields(data_class: type) -> dict[str, str]:
    body = ast.parse(inspect.cleandoc(inspect.getsource(data_class))).body[0].body  # type: ignore[attr-defined]
    return {
        field.target.id: " ".join(after.value.value.split())
        for field, after in zip(body, body[1:], strict=False)
        if isinstance(field, ast.AnnAssign) and isinstance(after, ast.Expr)
    }


def _command(entry: str, name: str) -> str:
    """The keys of a command itself, and of sections that are no groups."""
    composed = compose_values(entry)
    values, chosen = _plain(composed), composed.hydra.runtime.choices
    config_class = getattr(entry_points, ENTRIES[entry].config_class)
    texts, used = meanings(config_class), {field.name for field in fields(config_class)}
    own = {key: value for key, value in values.items() if key in used and key not in chosen}
    links = ", ".join(f"[{each}](#{each})" for each in groups() if each in chosen and each in used)
    rows = [_row(k, config_class, v, texts) for k, v in own.items() if not isinstance(v, Mapping)]
    rows += [row for k, v in own.items() if is_node(v) for row in _rows(v, k)]
    return _part(f"## sola {name}", f"Groups: {links}.", rows)


def _group(group: str) -> str:
    """Its choices, and the keys of everything that they name."""
    files = sorted((CONF_DIR / group).glob("*.yaml"))
    choices = [f"| `{group}={path.stem}` | {head_comment(path)} |" for path in files]
    rows: dict[str, str] = {}
    for path in files if group != "experiment" else ():
        key = "prompt_source.detector" if group == "detector" else group
        choice = "prompt_source=gdino" if group == "detector" else f"{group}={path.stem}"
        section = OmegaConf.select(compose_values(SHOWN_WITH.get(group, "train"), [choice]), key)
        rows |= {row.split("|")[1]: row for row in _rows(_plain(section), key)} | rows
    return _part(f"### {group}", "\n".join(["| choice | |", "|---|---|", *choices]), rows.values())


def _rows(node: Mapping[str, Any], key: str) -> Iterator[str]:
    """The arguments of a node; of ours also those that are not set."""
    target = locate(node[TARGET], key) if is_node(node) else None
    texts = meanings(target) if target else {}
    for name, value in node.items():
        if name in SPECIAL:
            continue
        if isinstance(value, Mapping) and any(map(is_node, (value, *value.values()))):
            yield from _rows(value, f"{key}.{name}") if not node.get("_recursive_") is False else ()
        else:
            yield _row(f"{key}.{name}", target, value, texts)
    if target and target.__module__.startswith("sola."):
        for name, each in inspect.signature(target).parameters.items():
            if name not in node and each.default is not each.empty and name not in GIVEN:
                yield _row(f"+{key}.{name}", target, each.default, texts)


def _row(key: str, target: Any, value: Any, texts: Mapping[str, str]) -> str:
    name = key.rpartition(".")[2].lstrip("+")
    parameters = inspect.signature(target).parameters if target else {}
    kind = str(getattr(parameters.get(name), "annotation", "")) if name in parameters else ""
    kind = re.sub(r"<class '(.*)'>", r"\1", kind).replace("|", "\\|")
    default = "required" if value == "???" else f"`{as_typed(value)}`"
    text = texts.get(name) or (f"see {target.__module__}.{target.__qualname__}" if target else "")
    text = re.sub(r"([|*_<])", r"\\\1", text.replace("``", "`"))
    return f"| `{key}` | {f'`{kind}`' if kind else ''} | {default} | {text[:1].upper()}{text[1:]} |"


def _part(heading: str, intro: str, rows: Iterable[str]) -> str:
    rows = list(rows)
    head = ["| key | type | default | meaning |", "|---|---|---|---|"] if rows else []
    return "\n".join([heading, "", intro, "", *head, *rows, ""])


def _plain(section: Any) -> Any:
    return OmegaConf.to_container(section, resolve=False)
