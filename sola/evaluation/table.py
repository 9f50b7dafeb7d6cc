"""The tables of evaluations and comparisons; every number in percent."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from sola.evaluation.protocol import (
    ALL_TRACKS,
    BEST_TRACK,
    LARGEST_TRACK,
    NONE,
    ORACLE,
    OTHER_TEXT,
    SELECTION,
)
from sola.evaluation.summary import SELECTION_WHERE_OTHER

ROWS = {
    SELECTION: "selection",
    ORACLE: "oracle (best choice of the same tracks)",
    BEST_TRACK: "best single track",
    ALL_TRACKS: "all tracks",
    LARGEST_TRACK: "largest track",
    NONE: "no track",
    SELECTION_WHERE_OTHER: "selection, where another text exists",
    OTHER_TEXT: "selection under another text",
}
"""Label of every row, in the order of the table."""


def print_tables(evaluation: Mapping[str, Any], console: Console | None = None) -> None:
    """Prints an evaluation: all answers, the selection by kind and group of expressions, notes.

    Args:
        evaluation: what evaluation.json holds.
        console: where to; None: standard output, at least 100 columns wide.
    """
    parts: list[Table | Text] = [_answers(evaluation)]
    if set(evaluation["by_kind"]) - {""}:
        parts.append(_kinds(evaluation["by_kind"], list(evaluation.get("metrics", ()))))
    groups = _groups(evaluation)
    parts += [] if groups is None else [groups]
    parts += [Text(line) for line in list_notes(evaluation)]
    _show(parts, console)


def print_comparison(comparison: Mapping[str, Any], console: Console | None = None) -> None:
    """Prints what ``sola.evaluation.comparison.compare`` found.

    Args:
        comparison: two runs.
        console: as for ``print_tables``.
    """
    where = f"{comparison['dataset']}/{comparison['split']}, {comparison['answer']}"
    table = Table(title=where, title_justify="left")
    table.add_column("expressions")
    for column in ("", "A", "B", "B - A", "p", "expressions", "videos"):
        table.add_column(column, justify="right")
    for measure in comparison["all"]["difference"]:
        _add_difference(table, "all", measure, comparison["all"])
    table.add_section()
    for kind, found in comparison["by_kind"].items():
        if kind:
            _add_difference(table, kind, "J&F", found)
    notes = [
        *(f"{name}: {comparison[name.lower()]['run']}" for name in "AB"),
        f"in brackets: {comparison['intervals']['level']:.0%} bootstrap interval over videos",
        f"p: {comparison['test']}; not corrected for the number of rows",
    ]
    _show([table, *map(Text, notes)], console)


def _show(parts: Sequence[Table | Text], console: Console | None) -> None:
    if console is None:
        console = Console()
        console.width = max(console.width, 100)
    console.print(Group(*parts))


def _add_difference(table: Table, label: str, measure: str, found: Mapping[str, Any]) -> None:
    difference = f"{100 * found['difference'][measure]:+.1f}"
    if found["interval"] is not None:
        lower, upper = found["interval"][measure]
        difference += f" [{100 * lower:+.1f}, {100 * upper:+.1f}]"
    figures = [_percent(found[run][measure]) for run in ("a", "b")]
    counts = [str(found[name]) for name in ("num_expressions", "num_videos")]
    table.add_row(label, measure, *figures, difference, f"{found['p'][measure]:.4f}", *counts)


def official_line(protocol: Mapping[str, Any]) -> str:
    """What the benchmark itself would report."""
    figures = [f"{name} {_percent(value)}" for name, value in protocol["numbers"].items()]
    return f"selection by the protocol of {protocol['name']}: {', '.join(figures)}"


def _answers(evaluation: Mapping[str, Any]) -> Table:
    table = Table(title=_title(evaluation), title_justify="left")
    table.add_column("answer")
    own = list(evaluation.get("metrics", ()))
    for column in ("J", "F", "J&F", *own, "expressions"):
        table.add_column(column, justify="right")
    for label, mean in answer_rows(evaluation):
        if label == ROWS[SELECTION_WHERE_OTHER]:
            table.add_section()
        figures = (_percent(mean["J"]), _percent(mean["F"]), with_interval(mean))
        further = [with_interval(mean, name) for name in own]
        table.add_row(label, *figures, *further, str(mean["num_expressions"]))
    return table


def answer_rows(evaluation: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The rows of an evaluation's first table: what the answer is called, and its means."""
    results, by_source = evaluation["results"], evaluation.get("by_source", {})
    for name, label in ROWS.items():
        if name not in results:
            continue
        yield label, results[name]
        if name == ORACLE and len(by_source) > 1:
            for source, mean in by_source.items():
                yield f"  of the tracks from {source} alone", mean


def _title(evaluation: Mapping[str, Any]) -> str:
    where = f"{evaluation['dataset']}/{evaluation['split']}"
    if "predictions" in evaluation:
        return f"{where}, masks of {evaluation['predictions']}"
    return f"{where}, threshold {evaluation['threshold']:g}"


def _kinds(by_kind: Mapping[str, Any], own: Sequence[str]) -> Table:
    table = Table(title="J&F by kind of expression", title_justify="left")
    table.add_column("kind")
    columns = {
        "selection": SELECTION,
        "oracle": ORACLE,
        "where another\ntext exists": SELECTION_WHERE_OTHER,
        "under\nanother text": OTHER_TEXT,
    }
    there = {c: name for c, name in columns.items() if all(name in m for m in by_kind.values())}
    for column in (*there, *(f"selection,\n{name}" for name in own), "expressions"):
        table.add_column(column, justify="right")
    for kind, means in by_kind.items():
        figures = [_percent(means[name]["J&F"]) for name in there.values() if name != SELECTION]
        mean = means[SELECTION]
        figures += [with_interval(mean, name) for name in own]
        row = (kind or "(none)", with_interval(mean), *figures, str(mean["num_expressions"]))
        table.add_row(*row)
    return table


def _groups(evaluation: Mapping[str, Any]) -> Table | None:
    """Groups that divide the expressions; None where none does."""
    dividing = {name: m for name, m in evaluation["by_group"].items() if len(m) > 1}
    if not dividing:
        return None
    table = Table(title="J&F by group of expressions", title_justify="left")
    has_oracle = all(ORACLE in means for m in dividing.values() for means in m.values())
    table.add_column("group")
    table.add_column("")
    own = list(evaluation.get("metrics", ()))
    columns = ("selection", *(["oracle"] if has_oracle else []))
    for column in (*columns, *(f"selection,\n{name}" for name in own), "expressions", "videos"):
        table.add_column(column, justify="right")
    for name, by_label in dividing.items():
        table.add_section()
        for idx, (label, means) in enumerate(by_label.items()):
            mean = means[SELECTION]
            figures = [with_interval(mean)]
            figures += [_percent(means[ORACLE]["J&F"])] if has_oracle else []
            figures += [with_interval(mean, name) for name in own]
            counts = [str(mean["num_expressions"]), str(mean["num_videos"])]
            table.add_row("" if idx else name, label, *figures, *counts)
    return table


def list_notes(evaluation: Mapping[str, Any]) -> list[str]:
    """What is said below the tables of an evaluation, a line each."""
    notes = [official_line(evaluation["protocol"])]
    if "oracle" in evaluation:
        notes += _notes_about_oracle(evaluation)
    level, meanings = evaluation["intervals"]["level"], evaluation["groups"]
    shown = [name for name, by_label in evaluation["by_group"].items() if len(by_label) > 1]
    notes.append(f"in brackets: {level:.0%} bootstrap interval over videos")
    notes += [f"{name}: {meanings[name]}" for name in shown]
    notes += [
        f"{name}: {about['meaning']}".removesuffix(": ")
        for name, about in evaluation.get("metrics", {}).items()
    ]
    return notes


def _notes_about_oracle(evaluation: Mapping[str, Any]) -> list[str]:
    num_left_out = evaluation["left_out"][OTHER_TEXT]
    num_all = evaluation["results"][SELECTION]["num_expressions"]
    oracle = evaluation["oracle"]
    losses = {name: with_interval(loss) for name, loss in evaluation["losses"].items()}
    if len(evaluation["by_source"]) < 2:
        losses = {name: losses[name] for name in ("selection", "generation")}
    by_selection, in_all = losses.pop("selection"), losses.pop("generation")
    notes = [
        f"lost by selection (oracle - selection), J&F: {by_selection}",
        "lost by generation (100 - oracle), J&F: "
        + ", ".join([in_all, *(f"{name.split(' ', 1)[1]} {x}" for name, x in losses.items())]),
        f"left out of the rows about another text: {num_left_out} of {num_all} expressions (they "
        "mean no object, or no expression of their video means entirely different ones)",
        f"oracle: exact for {oracle['num_exact']} expressions, a lower bound (greedy) for "
        f"{oracle['num_greedy']}; {evaluation['num_expressions_without_tracks']} of {num_all} "
        "expressions have no tracks",
    ]
    best, points = evaluation["best_threshold"], evaluation["curve"][9::10]
    notes.append(
        f"best threshold for this split: {best['threshold']:g} (from {best['from']:.4g} to "
        f"{best['to']:.4g}), J&F {_percent(best['J&F'])}; by threshold: "
        + ", ".join(f"{p['threshold']:g}: {_percent(p['J&F'])}" for p in points)
    )
    return notes


def with_interval(mean: Mapping[str, Any], measure: str = "J&F") -> str:
    """A measure in percent, and its interval where there is one."""
    figure = _percent(mean.get(measure))
    if mean["interval"] is None:
        return figure
    lower, upper = mean["interval"][measure]
    return f"{figure} [{_percent(lower)}, {_percent(upper)}]"


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f}"
