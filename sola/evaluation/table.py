"""Tables of evaluations and comparisons for the terminal, in percent."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from rich.console import Console, Group
from rich.table import Column, Table
from rich.text import Text

from sola.config.console import table_console
from sola.evaluation.measure import ORACLE, OTHER_TEXT, SELECTION
from sola.evaluation.summary import ANSWERS, SELECTION_WHERE_OTHER

COLUMNS = {
    SELECTION: "selection",
    ORACLE: "oracle",
    SELECTION_WHERE_OTHER: "where another\ntext exists",
    OTHER_TEXT: "under\nanother text",
}


def print_tables(evaluation: Mapping[str, Any], console: Console | None = None) -> None:
    """Print an evaluation: all answers, the selection by kind and group of expressions, notes.

    Args:
        evaluation: content of evaluation.json.
        console: where to print; None: standard output, at least 100 columns wide.
    """
    where = f"{evaluation['dataset']}/{evaluation['split']}"
    if "predictions" in evaluation:
        where += f", masks of {evaluation['predictions']}"
    else:
        where += f", threshold {evaluation['threshold']:g}"
    own = list(evaluation.get("metrics", ()))
    rows = [
        [
            label,
            *(_percent(mean[name]) for name in ("J", "F")),
            *(with_interval(mean, name) for name in ("J&F", *own)),
            str(mean["num_expressions"]),
        ]
        for label, mean in answer_rows(evaluation)
    ]
    parts = [_table(where, ["answer"], ["J", "F", "J&F", *own, "expressions"], rows)]
    by_kind, by_group = evaluation["by_kind"], evaluation["by_group"]
    divisions = {"kind": by_kind} if set(by_kind) - {""} else {}
    divisions |= {name: found for name, found in by_group.items() if len(found) > 1}
    if divisions:
        parts.append(_divided(divisions, own))
    _show(parts, list_notes(evaluation), console)


def print_comparison(comparison: Mapping[str, Any], console: Console | None = None) -> None:
    """Print the result of ``sola.evaluation.compare.compare``.

    Args:
        comparison: comparison of two runs.
        console: as for ``print_tables``.
    """
    found = [("all", measure, comparison["all"]) for measure in comparison["all"]["difference"]]
    found += [(kind, "J&F", part) for kind, part in comparison["by_kind"].items() if kind]
    rows = []
    for label, measure, part in found:
        difference = f"{100 * part['difference'][measure]:+.1f}"
        if part["interval"] is not None:
            lower, upper = part["interval"][measure]
            difference += f" [{100 * lower:+.1f}, {100 * upper:+.1f}]"
        figures = [_percent(part[run][measure]) for run in ("a", "b")]
        counts = [str(part[name]) for name in ("num_expressions", "num_videos")]
        rows.append([label, measure, *figures, difference, f"{part['p'][measure]:.4f}", *counts])
    title = f"{comparison['dataset']}/{comparison['split']}, {comparison['answer']}"
    columns = ["", "A", "B", "B - A", "p", "expressions", "videos"]
    notes = [
        *(f"{name}: {comparison[name.lower()]['run']}" for name in "AB"),
        f"in brackets: {comparison['intervals']['level']:.0%} bootstrap interval over videos",
        f"p: {comparison['test']}; not corrected for the number of rows",
    ]
    _show([_table(title, ["expressions"], columns, rows)], notes, console)


def official_line(protocol: Mapping[str, Any]) -> str:
    """Return the line with the numbers of the benchmark's own protocol."""
    figures = [f"{name} {_percent(value)}" for name, value in protocol["numbers"].items()]
    return f"selection by the protocol of {protocol['name']}: {', '.join(figures)}"


def answer_rows(evaluation: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the rows of an evaluation's first table: the label of an answer, and its means."""
    results, by_source = evaluation["results"], evaluation.get("by_source", {})
    for name, label in ANSWERS.items():
        if name in results:
            yield label, results[name]
        if name == ORACLE and len(by_source) > 1:
            for source, mean in by_source.items():
                yield f"  of the tracks from {source} alone", mean


def list_notes(evaluation: Mapping[str, Any]) -> list[str]:
    """Return the notes below the tables of an evaluation, one per line."""
    level, meanings = evaluation["intervals"]["level"], evaluation["groups"]
    shown = [name for name, by_label in evaluation["by_group"].items() if len(by_label) > 1]
    metrics = evaluation.get("metrics", {}).items()
    return [
        official_line(evaluation["protocol"]),
        *(_notes_about_oracle(evaluation) if "oracle" in evaluation else ()),
        f"in brackets: {level:.0%} bootstrap interval over videos",
        *(f"{name}: {meanings[name]}" for name in shown),
        *(f"{name}: {about['meaning']}".removesuffix(": ") for name, about in metrics),
    ]


def with_interval(mean: Mapping[str, Any], measure: str = "J&F") -> str:
    """Return a measure in percent, and its interval if there is one."""
    figure = _percent(mean.get(measure))
    if mean["interval"] is None:
        return figure
    lower, upper = mean["interval"][measure]
    return f"{figure} [{_percent(lower)}, {_percent(upper)}]"


def _divided(divisions: Mapping[str, Any], own: Sequence[str]) -> Table:
    """Return the table by kind and group of expressions."""
    (first, *_) = next(iter(divisions.values())).values()
    columns = [name for name in COLUMNS if name in first]
    rows = []
    for division, by_label in divisions.items():
        for label, means in by_label.items():
            mean = means[SELECTION]
            figures = [with_interval(mean)]
            figures += [_percent(means[name]["J&F"]) for name in columns if name != SELECTION]
            figures += [with_interval(mean, name) for name in own]
            counts = [str(mean[name]) for name in ("num_expressions", "num_videos")]
            rows.append([division, label or "(none)", *figures, *counts])
    names = [COLUMNS[name] for name in columns] + [f"selection,\n{name}" for name in own]
    return _table(
        f"J&F by {', '.join(divisions)}", ["by", ""], [*names, "expressions", "videos"], rows
    )


def _table(
    title: str, left: Iterable[str], right: Iterable[str], rows: Iterable[Sequence[str]]
) -> Table:
    figures = (Column(name, justify="right") for name in right)
    table = Table(*left, *figures, title=title, title_justify="left")
    for row in rows:
        table.add_row(*row)
    return table


def _show(parts: Sequence[Table], notes: Sequence[str], console: Console | None) -> None:
    (console or table_console()).print(Group(*parts, *map(Text, notes)))


def _notes_about_oracle(evaluation: Mapping[str, Any]) -> list[str]:
    num_all, oracle = evaluation["num_expressions"], evaluation["oracle"]
    lost = {name: with_interval(loss) for name, loss in evaluation["losses"].items()}
    by_selection, generation = lost.pop("selection"), lost.pop("generation")
    if len(evaluation["by_source"]) > 1:
        own = (f"{name.split(' ', 1)[1]} {loss}" for name, loss in lost.items())
        generation = ", ".join([generation, *own])
    best, points = evaluation["best_threshold"], evaluation["curve"][9::10]
    by_threshold = ", ".join(f"{p['threshold']:g}: {_percent(p['J&F'])}" for p in points)
    return [
        f"lost by selection (oracle - selection), J&F: {by_selection}",
        f"lost by generation (100 - oracle), J&F: {generation}",
        f"left out of the rows about another text: {evaluation['left_out'][OTHER_TEXT]} of "
        f"{num_all} expressions (no object, or no expression of the video about other objects)",
        f"oracle: exact for {oracle['num_exact']} expressions, a lower bound (greedy) for "
        f"{oracle['num_greedy']}; {evaluation['num_expressions_without_tracks']} of {num_all} "
        "expressions have no tracks",
        f"best threshold for this split: {best['threshold']:g} (from {best['from']:.4g} to "
        f"{best['to']:.4g}), J&F {_percent(best['J&F'])}; by threshold: {by_threshold}",
    ]


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f}"
