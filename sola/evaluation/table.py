"""The tables that evaluate.py ends with; every number in percent."""

from collections.abc import Mapping
from typing import Any

from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from sola.evaluation.protocol import (
    ALL_TRACKS,
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
    ALL_TRACKS: "all tracks",
    LARGEST_TRACK: "largest track",
    NONE: "no track",
    SELECTION_WHERE_OTHER: "selection, where another text exists",
    OTHER_TEXT: "selection under another text",
}
"""Label of every row, in the order of the table."""


def print_tables(evaluation: Mapping[str, Any], console: Console | None = None) -> None:
    """Prints an evaluation: all answers, the selection by kind of expression, what was left out.

    Args:
        evaluation: what evaluation.json holds.
        console: where to; None: standard output, at least 100 columns wide.
    """
    if console is None:
        console = Console()
        console.width = max(console.width, 100)
    parts: list[Table | Text] = [_answers(evaluation)]
    if set(evaluation["by_kind"]) - {""}:
        parts.append(_kinds(evaluation["by_kind"]))
    parts += [Text(line) for line in _notes(evaluation)]
    console.print(Group(*parts))


def official_line(protocol: Mapping[str, Any]) -> str:
    """What the benchmark itself would report."""
    figures = [f"{name} {_percent(value)}" for name, value in protocol["numbers"].items()]
    return f"selection by the protocol of {protocol['name']}: {', '.join(figures)}"


def _answers(evaluation: Mapping[str, Any]) -> Table:
    where = f"{evaluation['dataset']}/{evaluation['split']}, threshold {evaluation['threshold']:g}"
    table = Table(title=where, title_justify="left")
    table.add_column("answer")
    for column in ("J", "F", "J&F", "expressions"):
        table.add_column(column, justify="right")
    for name, label in ROWS.items():
        if name == SELECTION_WHERE_OTHER:
            table.add_section()
        mean = evaluation["results"][name]
        figures = [_percent(mean[key]) for key in ("J", "F", "J&F")]
        table.add_row(label, *figures, str(mean["num_expressions"]))
    return table


def _kinds(by_kind: Mapping[str, Any]) -> Table:
    table = Table(title="J&F by kind of expression", title_justify="left")
    table.add_column("kind")
    columns = {
        "selection": SELECTION,
        "oracle": ORACLE,
        "where another\ntext exists": SELECTION_WHERE_OTHER,
        "under\nanother text": OTHER_TEXT,
    }
    for column in (*columns, "expressions"):
        table.add_column(column, justify="right")
    for kind, means in by_kind.items():
        figures = [_percent(means[name]["J&F"]) for name in columns.values()]
        table.add_row(kind or "(none)", *figures, str(means[SELECTION]["num_expressions"]))
    return table


def _notes(evaluation: Mapping[str, Any]) -> list[str]:
    num_left_out = evaluation["left_out"][OTHER_TEXT]
    num_all = evaluation["results"][SELECTION]["num_expressions"]
    oracle = evaluation["oracle"]
    notes = [
        official_line(evaluation["protocol"]),
        f"left out of the rows about another text: {num_left_out} of {num_all} expressions (they "
        "mean no object, or no expression of their video means entirely different ones)",
        f"oracle: exact for {oracle['num_exact']} expressions, a lower bound (greedy) for "
        f"{oracle['num_greedy']}; {evaluation['num_expressions_without_tracks']} of {num_all} "
        "expressions have no tracks",
    ]
    if evaluation["curve"]:
        points = [
            f"{point['threshold']:g}: {_percent(point['J&F'])}" for point in evaluation["curve"]
        ]
        notes.append(f"J&F of the selection by threshold: {', '.join(points)}")
    return notes


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f}"
