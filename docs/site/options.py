"""The page of every option, made from the data classes and files that define them."""

import ast
import dataclasses
import functools
import inspect
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

from omegaconf import DictConfig, OmegaConf
from sola.config.conversion import CONF_DIR, SCHEMAS, compose_values
from sola.config.schema import ClipSourcesConfig, RunConfig

from sola.config.help import as_typed

ROOT = Path(__file__).parents[2]
COMMANDS = {
    "generate": "generate.py",
    "train": "train.py",
    "evaluate": "evaluate.py",
    "predict": "predict.py",
    "check": "python -m sola.datasets",
}
SHOWN_WITH = {
    "prompt_source": ("generate", []),
    "prompt_source/detector_network": ("generate", ["prompt_source=gdino"]),
}
"""Group -> the entry point and overrides with which its values are shown; of all others train."""
PACKAGES = {"prompt_source": "prompts"}
"""Group -> folder of sola/ with the classes that take its options, where the two differ."""
TYPES = {str: "text", int: "whole number", float: "number", bool: "true or false", Any: "anything"}
TYPES_OF_OPTIONS = {**TYPES, int: "number", list: "list", dict: "section", type(None): "anything"}
NEEDED, BELOW, IN_FULL = "*needed*", "below", "shown by `--cfg job`"
HYDRAS_OWN = {
    "hydra.run.dir": "Folder of the run: what it puts out, its log, the values that it ran with.",
    "hydra.sweep.dir": "Folder of a sweep (-m); each of its jobs has a folder in it.",
}
CODE_OR_LINK = re.compile(r"(`[^`]*`|\[[^]]*\]\([^)]*\))")
INTRODUCTION = """\
# Every option

<style>td:first-child code { white-space: nowrap }</style>

What a command takes behind its name, as `key=value`. This page is made from `conf/`, which holds
the values, and `sola/config/schema/`, which holds their types and meanings.

- `group=choice` takes a file of `conf/<group>/`, which fills the section of that name;
  `section.key=value` changes one value of it.
- `null` is no value. A list is written `'key=[a,b]'`, in quotes for the shell.
- `${key}` is the value of another key, `${.key}` of one in the same section: it follows when that
  one is changed.
- Defaults are those of a command as it is, which has `dataset=moving_shapes`. A data set chooses
  tracker, text encoder and selector, too, so another one has others: `python train.py
  dataset=mevis --help` lists them. Where it says *needed*, there is no default.
"""


@dataclass(frozen=True)
class Row:
    """An option."""

    key: str
    kind: str
    default: str
    meaning: str

    def __str__(self) -> str:
        default = self.default if self.default in (NEEDED, BELOW, IN_FULL) else f"`{self.default}`"
        return f"| `{self.key}` | {self.kind} | {default} | {_prose(self.meaning)} |"


def options_page() -> str:
    """The page, in Markdown: what every command takes, what each takes, the groups."""
    commands = [_command(entry, name) for entry, name in COMMANDS.items()]
    return "\n".join(
        [INTRODUCTION, _every_command(), *commands, "## Groups\n", *map(_group, groups())]
    )


def groups() -> list[str]:
    """Folders of conf/ with files to choose among; one within another has a slash."""
    folders = {path.parent.relative_to(CONF_DIR) for path in CONF_DIR.rglob("*.yaml")}
    return sorted(f.as_posix() for f in folders if f.parts and f.parts[0] != "hydra")


def choices(group: str) -> list[Path]:
    """The files of a group."""
    return sorted((CONF_DIR / group).glob("*.yaml"))


def head_comment(path: Path) -> str:
    """What a YAML file says of itself above its first key; commands as code."""
    lines = []
    for line in path.read_text().splitlines():
        if not line.startswith("#"):
            break
        text = line.removeprefix("#").strip()
        if not text.startswith("@package"):
            lines.append(f"`{text}`:" if text.startswith("python ") else text)
    return " ".join(lines)


@functools.cache
def meanings(schema: type) -> dict[str, str]:
    """The text below each field of a data class; of a section without, what its class says."""
    below = {name: text for base in reversed(schema.__mro__) for name, text in _texts(base)}
    hints = get_type_hints(schema)
    return {
        field.name: below[field.name] or _about(_section_type(hints[field.name]))
        for field in dataclasses.fields(schema)
    }


def argument_meanings(path: Path) -> dict[str, str]:
    """What the classes of a module say of their arguments (Args of their docstrings)."""
    found: dict[str, str] = {}
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.ClassDef):
            text = (ast.get_docstring(node) or "").partition("\nArgs:\n")[2].split("\n\n")[0]
            for name, meaning in re.findall(r"^    (\w+): (.*(?:\n {8}.*)*)", text, re.MULTILINE):
                found[name] = " ".join(meaning.split())
    return found


def _every_command() -> str:
    composed = _compose("train")
    rows = [row for name in meanings(RunConfig) for row in _rows(RunConfig, name, composed)]
    values: Any = OmegaConf.to_container(composed, resolve=False)
    for key, meaning in HYDRAS_OWN.items():
        folder = values["hydra"][key.split(".")[1]]["dir"]
        folder = folder.replace("${hydra.job.name}", "<command>")
        rows.append(Row(key, "text", folder, meaning))
    return _part("## Every command", rows)


def _command(entry: str, name: str) -> str:
    """Beside what every command takes: its groups, its own keys, its own sections."""
    composed, schema = _compose(entry), SCHEMAS[entry]
    chosen, shared = composed.hydra.runtime.choices, get_type_hints(RunConfig)
    fields = [f for f in dataclasses.fields(schema) if f.name not in shared]
    used = [f.name for f in fields if not f.metadata.get("unused")]
    sections = {f: _section_type(get_type_hints(schema)[f]) for f in used if f not in chosen}
    taken = [group for group in groups() if group in chosen and group not in _unused(schema)]
    links = ", ".join(f"{_link_to(group)} (`{chosen[group] or 'null'}`)" for group in taken)
    about = _prose(" ".join(composed.hydra.help.header.split("\n\n")[0].split()))
    own = [f for f, section in sections.items() if section is None]
    parts = [
        _part(
            f"## {name}",
            [row for field in own for row in _rows(schema, field, composed)],
            f"{about}\n\nGroups, with what is chosen by default: {links}.\n",
        )
    ]
    for field, section in sections.items():
        if section is not None:
            rows = [row for row in _rows(schema, field, composed) if row.key != field]
            parts.append(_part(f"### {field}", rows, _prose(_about(section)) + "\n"))
    return "\n".join(parts)


def _group(group: str) -> str:
    """Its choices, and the keys of the section that they fill."""
    listed = [
        f"| `{group}={path.stem}` | {_prose(head_comment(path))} |" for path in choices(group)
    ]
    table = "\n".join(["| choice | what it is |", "|---|---|", *listed, ""])
    entry, overrides = SHOWN_WITH.get(group, ("train", []))
    composed, key = _compose(entry, *overrides), group.replace("/", ".")
    section = OmegaConf.select(composed, key)
    if section is None:  # an experiment sets values of many sections
        return _part(f"### {group}", [], table)
    schema, chosen = OmegaConf.get_type(section), composed.hydra.runtime.choices[group]
    about = "\n\n".join(map(_prose, _paragraphs(schema)))
    intro = f"{about}\n\n{table}\nDefaults are those of `{group}={chosen}`.\n"
    rows = [row for name in meanings(schema) for row in _rows(schema, name, section, f"{key}.")]
    return _part(f"### {group}", rows, intro)


def _part(heading: str, rows: Iterable[Row], intro: str = "") -> str:
    lines = [f"{heading} {{ #{_anchor(heading.lstrip('# '))} }}", "", intro]
    head = ["| key | type | default | meaning |", "|---|---|---|---|"] if rows else []
    return "\n".join([*lines, *head, *map(str, rows), ""])


def _rows(schema: type, name: str, section: DictConfig, prefix: str = "") -> Iterator[Row]:
    """A field of a data class with its value; of a section, all its fields."""
    hint, key = get_type_hints(schema)[name], f"{prefix}{name}"
    value: Any = OmegaConf.to_container(section, resolve=False)[name]  # type: ignore[call-overload]
    meaning, inner = meanings(schema)[name], _section_type(hint)
    if inner is None:
        yield Row(key, _type(hint), _default(value, key), meaning)
        yield from _option_rows(key, value, section)
        return
    group = "prompt_source" if schema is ClipSourcesConfig else key.replace(".", "/")
    if group in groups():
        default = "null" if value is None else BELOW
        yield Row(key, "section", default, f"{meaning} Its keys: {_link_to(group)}.")
        return
    kind = "section" if hint is inner else "section, or null"
    yield Row(key, kind, BELOW, meaning)
    for each in meanings(inner):
        yield from _rows(inner, each, section[name], f"{key}.")


def _option_rows(key: str, value: Any, section: DictConfig) -> Iterator[Row]:
    """Arguments of a class that the schema does not know, with what the class says of them."""
    if not (key.endswith(".options") and value):
        return
    group = key.partition(".")[0]
    path = ROOT / "sola" / PACKAGES.get(group, group) / f"{section['name']}.py"
    described = argument_meanings(path)
    for name, default in value.items():
        kind, text = TYPES_OF_OPTIONS[type(default)], described.get(name, "")
        yield Row(f"{key}.{name}", kind, _default(default), text[:1].upper() + text[1:])


def _texts(schema: type) -> Iterator[tuple[str, str]]:
    """(field, the text below it, or "") of what a class defines itself."""
    if not dataclasses.is_dataclass(schema):
        return
    body = _source(schema).body
    for field, after in zip(body, [*body[1:], None], strict=True):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
            is_text = isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant)
            yield field.target.id, " ".join(after.value.value.split()) if is_text else ""


def _paragraphs(schema: type) -> list[str]:
    """Of the docstring that stands in a class; what a data class makes for itself is none."""
    text = ast.get_docstring(_source(schema)) or ""
    return [" ".join(paragraph.split()) for paragraph in text.split("\n\n")]


def _about(section: type | None) -> str:
    return "" if section is None else _paragraphs(section)[0]


@functools.cache
def _compose(entry: str, *overrides: str) -> DictConfig:
    return compose_values(entry, overrides)


@functools.cache
def _source(schema: type) -> ast.ClassDef:
    [definition] = ast.parse(inspect.getsource(schema)).body
    assert isinstance(definition, ast.ClassDef)
    return definition


def _section_type(hint: Any) -> type | None:
    """The data class of ``Section`` or ``Section | None``."""
    candidates = () if get_origin(hint) in (dict, list) else (hint, *get_args(hint))
    return next((each for each in candidates if dataclasses.is_dataclass(each)), None)


def _unused(schema: type) -> set[str]:
    return {f.name for f in dataclasses.fields(schema) if f.metadata.get("unused")}


def _type(hint: Any) -> str:
    """A type, in words."""
    if hint in TYPES:
        return TYPES[hint]
    if get_origin(hint) is list:
        return f"list of {_type(get_args(hint)[0])}".replace("number", "numbers")
    if get_origin(hint) is dict:
        value = get_args(hint)[1]
        return f"{'section' if dataclasses.is_dataclass(value) else _type(value)}, by name"
    return (
        " or ".join(_type(each) for each in get_args(hint) if each is not type(None)) + ", or null"
    )


def _default(value: Any, key: str = "") -> str:
    """A value as it is typed, or where it stands."""
    if value == "???":
        return NEEDED
    if isinstance(value, Mapping) and value:
        if key.endswith(".options"):
            return BELOW
        if any(isinstance(each, Mapping) for each in value.values()):
            return IN_FULL
    return as_typed(value)


def _prose(text: str) -> str:
    """The source's words in Markdown: null for None, links to pages, nothing read as markup."""
    text = re.sub(r"\bNone\b", "null", text.replace("``", "`"))
    parts = CODE_OR_LINK.split(text)
    return "".join(part if CODE_OR_LINK.match(part) else _escape(part) for part in parts)


def _escape(text: str) -> str:
    text = re.sub(r"([|*_])", r"\\\1", text.replace("<", "&lt;"))
    return re.sub(r"(docs|data)/([\w\\]+)\.md", _link_to_page, text)


def _link_to_page(match: re.Match[str]) -> str:
    page = "data.md" if match[1] == "data" else match[2].replace("\\", "") + ".md"
    return f"[{match[0]}]({page})"


def _link_to(group: str) -> str:
    return f"[{group}](#{_anchor(group)})"


def _anchor(title: str) -> str:
    return re.sub(r"\W+", "-", title)
