"""What --help prints: a command's own keys, then the groups, then the sections that they fill.

Hydra's own text begins with the groups, buries a command's keys among the sections, and takes more
than half of its time to list Hydra's own groups, which nobody is shown.
"""

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf

from sola.config.composition import CONF_DIR, ENTRIES, compose_values

WIDTH = 100
END = """\
Everything that is composed: --cfg job. Hydra's own flags: --hydra-help.
What each option means: outputs/docs/options.html, "Every option", which make docs writes."""


def help_text(entry: str, overrides: Sequence[str] = ()) -> str:
    """The help of an entry point, with the values that the overrides give.

    Args:
        entry: one of ``ENTRIES``.
        overrides: as on the command line.

    Raises:
        hydra.errors.HydraException: if the overrides do not fit.
    """
    composed = compose_values(entry, [_first_choice(each) for each in overrides])
    unused = set(ENTRIES[entry].unused)
    own, sections = _values(composed, unused | {"hydra"})
    parts = [
        composed.hydra.help.header + "\n",
        "== Keys of this command ==\nkey=value; ??? has to be given\n",
        *_lines(own),
        "\n== Groups ==\ngroup=choice; the first one is taken now\n",
        "\n".join(_groups(composed, unused, ENTRIES[entry].lists)) + "\n",
        "== Sections, as the groups fill them ==\nsection.key=value\n",
        *_lines(sections),
        "",
        END,
    ]
    return "\n".join(parts)


def _first_choice(override: str) -> str:
    """Of an override that lists the jobs of a sweep, that of the first."""
    parsed = OverridesParser.create().parse_override(override)
    if not parsed.is_sweep_override():
        return override
    return f"{override.partition('=')[0]}={next(parsed.sweep_string_iterator())}"


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


def _values(composed: DictConfig, left_out: set[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The keys of the command itself, and the sections."""
    values = cast(dict[str, Any], OmegaConf.to_container(composed, resolve=False))
    groups = composed.hydra.runtime.choices
    shown = {name: value for name, value in values.items() if name not in left_out}
    own = {k: v for k, v in shown.items() if not isinstance(v, dict) and k not in groups}
    return own, {name: value for name, value in shown.items() if name not in own}


def _groups(composed: DictConfig, unused: set[str], lists: Sequence[str]) -> Iterator[str]:
    """``group: choice; or another, ...``, each as it is typed."""
    chosen: dict[str, str | None] = dict.fromkeys(lists) | {
        group: choice
        for group, choice in composed.hydra.runtime.choices.items()
        if group.partition("/")[0] != "hydra" and group not in unused
    }
    for group in sorted(chosen):
        files = sorted((CONF_DIR / group.partition("@")[0]).glob("*.yaml"))
        others = ", ".join(path.stem for path in files if path.stem != chosen[group])
        line = f"{group}: {chosen[group] or 'none'}" + (f"; or {others}" if others else "")
        yield textwrap.fill(line, WIDTH, subsequent_indent="  ", break_on_hyphens=False)


def _lines(values: Mapping[str, Any], indent: str = "") -> Iterator[str]:
    """``key: value``; below the name of a section its keys, indented."""
    for name, value in values.items():
        if isinstance(value, Mapping) and value:
            yield f"{indent}{name}:"
            yield from _lines(value, f"{indent}  ")
        else:
            yield f"{indent}{name}: {as_typed(value)}"
