"""Write the page of a report: numbers with their names, plots, and where a number comes from."""

import json
import re
from collections.abc import Mapping, Sequence
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Any

from sola.evaluation.groups import LABELS
from sola.evaluation.protocol import ORACLE, SELECTION
from sola.evaluation.table import answer_rows, list_notes, with_interval
from sola.visualization.colours import as_css
from sola.visualization.plots import write_plot
from sola.visualization.videos import write_script

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ASSETS = ("style.css", "masks.js", "gallery.js", "viewer.js")
PAGE = "index.html"
ORIGIN = ("checkpoint", "scorer", "tracks", "text_encoder", "seed", "versions", "protocol")


def write_page(
    folder: Path,
    evaluation: Mapping[str, Any],
    figures: Mapping[str, "Figure"],
    entries: Sequence[Mapping[str, Any]],
    *,
    label_iou: float,
    comparison: Mapping[str, Any] | None = None,
) -> None:
    """Write index.html and all that it loads except for the videos.

    Args:
        folder: of the report.
        evaluation: content of evaluation.json.
        figures: plots, by file name.
        entries: what the gallery shows of each expression.
        label_iou: a track with a higher mean IoU with one of the objects is correct.
        comparison: with another run, see ``sola.evaluation.comparison.compare``.
    """
    assets = files("sola.visualization.report") / "assets"
    for name in ASSETS:
        (folder / name).write_bytes((assets / name).read_bytes())
    (folder / "colours.css").write_text(as_css())
    index = {"threshold": evaluation["threshold"], "label_iou": label_iou, "expressions": entries}
    write_script(folder / "data" / "index.js", "report.open(", index)
    (folder / "plots").mkdir(exist_ok=True)
    results, losses, best = (evaluation[key] for key in ("results", "losses", "best_threshold"))
    notes = list_notes(evaluation)
    if len(evaluation["by_kind"]) > 1:
        notes.append("kind: of the expression, as the data set records it")
    scored_by = (evaluation.get("checkpoint") or {}).get("path") or evaluation["scorer"].get("name")
    origin = {key: evaluation[key] for key in ORIGIN if key in evaluation}
    counts = {
        f"num_{name}": evaluation[f"num_{name}"] for name in ("expressions", "videos", "tracks")
    }
    page = Template((assets / PAGE).read_text(encoding="utf-8")).substitute(
        title=escape(f"{evaluation['dataset']}/{evaluation['split']}"),
        threshold=f"{evaluation['threshold']:g}",
        scored_by=f"scored by {escape(str(scored_by))}",
        selection=_cell(with_interval(results[SELECTION])),
        oracle=_cell(with_interval(results[ORACLE])),
        lost_by_selection=_cell(with_interval(losses["selection"])),
        lost_by_generation=_cell(with_interval(losses["generation"])),
        at_best=_cell(with_interval({**best, "interval": None})),
        best=f"{best['threshold']:g}",
        answers=_answers(evaluation),
        label_iou=f"{label_iou:g}",
        notes="".join(f"<li>{escape(note)}</li>" for note in notes),
        plots="".join(_plot(folder, name, figure) for name, figure in figures.items()),
        origin=escape(json.dumps(origin, indent=1)),
        **counts,
        **_differences(comparison),
    )
    (folder / PAGE).write_text(page, encoding="utf-8")


def _answers(evaluation: Mapping[str, Any]) -> str:
    measures = ("J", "F", "J&F", *evaluation.get("metrics", ()))
    rows = [
        [label, *(with_interval(mean, measure) for measure in measures), *_counts(mean)]
        for label, mean in answer_rows(evaluation)
    ]
    return _table(("answer", *measures, "expressions", "videos"), rows)


def _differences(comparison: Mapping[str, Any] | None) -> dict[str, str]:
    """What the section about another run shows."""
    if comparison is None:
        names = ("other_run", "test", "differences", "differences_of_parts")
        return dict.fromkeys(names, "") | {"hidden": "hidden"}
    of_all = comparison["all"]
    parts = {f"kind: {kind}": found for kind, found in comparison["by_kind"].items() if kind}
    for group, labels in comparison["by_group"].items():
        if len(labels) > 1:
            order = sorted(labels, key=LABELS[group].index)
            parts |= {f"{group}: {label}": labels[label] for label in order}
    columns = ("of", "other run", "this run", "difference", "p", "expressions", "videos")
    rows = [_difference("all", of_all, measure) for measure in of_all["difference"]]
    rows_of_parts = [_difference(name, found, "J&F") for name, found in parts.items()]
    return {
        "hidden": "",
        "other_run": escape(comparison["a"]["run"]),
        "test": escape(comparison["test"]),
        "differences": _table(columns, rows),
        "differences_of_parts": _table(columns, rows_of_parts),
    }


def _difference(name: str, found: Mapping[str, Any], measure: str) -> list[str]:
    cell = f"{100 * found['difference'][measure]:+.1f}"
    if found["interval"] is not None:
        lower, upper = found["interval"][measure]
        cell += f" [{100 * lower:+.1f}, {100 * upper:+.1f}]"
    values = [f"{100 * found[run][measure]:.1f}" for run in ("a", "b")]
    return [f"{name} {measure}", *values, cell, f"{found['p'][measure]:.4f}", *_counts(found)]


def _counts(found: Mapping[str, Any]) -> list[str]:
    return [str(found["num_expressions"]), str(found["num_videos"])]


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table whose first column names the rows."""
    head = "".join(f'<th scope="col">{escape(column)}</th>' for column in columns)
    body = ""
    for name, *cells in rows:
        data = "".join(f"<td>{_cell(cell)}</td>" for cell in cells)
        body += f'<tr><th scope="row">{escape(name)}</th>{data}</tr>'
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    return f'<div class="scroll">{table}</div>'


def _cell(text: str) -> str:
    """A number, with its interval in small letters."""
    return re.sub(r"(\[.*\])", r"<small>\1</small>", escape(text))


def _plot(folder: Path, name: str, figure: "Figure") -> str:
    """Write a plot; returns it with links to its files."""
    title = escape(name.replace("_", " "))
    svg = write_plot(figure, folder / "plots" / name)
    svg = svg.replace("<svg ", f'<svg class="plot" role="img" aria-label="{title}" ', 1)
    links = ", ".join(
        f'<a href="plots/{name}.{kind}" aria-label="{kind.upper()} of {title}">{kind.upper()}</a>'
        for kind in ("svg", "png")
    )
    return f"<figure>{svg}<figcaption>{links}</figcaption></figure>"
