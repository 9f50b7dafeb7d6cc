"""The page itself: numbers with their names, charts, and where a number comes from."""

import json
from collections.abc import Mapping, Sequence
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

from sola.evaluation.measure import ORACLE, SELECTION
from sola.evaluation.table import answer_rows, list_notes, with_interval
from sola.visualization.colours import as_css
from sola.visualization.report.against import OTHER_RUN, comparison_section
from sola.visualization.report.charts import Chart, as_png, as_svg
from sola.visualization.report.videos import write_script

ASSETS = ("style.css", "masks.js", "gallery.js", "viewer.js")
PLOTS_DIR = "plots"
PAGE = "index.html"
COLOURS = "colours.css"
FROM_WHERE = (
    "checkpoint",
    "scorer",
    "predictions",
    "tracks",
    "text_encoder",
    "seed",
    "versions",
    "protocol",
)
SHOWN = (SELECTION, ORACLE)
ANSWERS = (
    "oracle: the tracks that an answer with the ground truth at hand would choose; what it lacks "
    "to 100 is lost by generation, as no choice can mend it",
    "best single track: the one with the highest J&F, also where nothing is meant",
    "all tracks, largest track, no track: answers that need no selector; no track is right where "
    "nothing is meant",
    "selection under another text: the tracks selected for another expression of the same video, "
    "which means other objects; close to the row above it, the text makes no difference",
)
"""What the rows of the table are."""


def write_page(
    folder: Path,
    evaluation: Mapping[str, Any],
    charts: Mapping[str, Chart],
    entries: Sequence[Mapping[str, Any]],
    *,
    label_iou: float,
    comparison: Mapping[str, Any] | None = None,
) -> None:
    """Writes index.html and all that it loads but for the videos.

    Args:
        folder: of the report.
        evaluation: what evaluation.json holds.
        charts: by the name of their file.
        entries: of the expressions, as ``entry_of`` makes them.
        label_iou: a track with a higher mean IoU with one of the objects is called right.
        comparison: with another run, as ``compare_with`` has it.
    """
    assets = files("sola.visualization.report") / "assets"
    for name in ASSETS:
        (folder / name).write_bytes((assets / name).read_bytes())
    (folder / COLOURS).write_text(as_css())
    rules = {"threshold": evaluation["threshold"], "label_iou": label_iou}
    if comparison is not None:
        entries = [_with_other(entry, comparison) for entry in entries]
    index = {**rules, "expressions": list(entries)}
    write_script(folder / "data" / "index.js", "report.open(", index)
    for name, chart in charts.items():
        path = folder / PLOTS_DIR / name
        path.parent.mkdir(exist_ok=True)
        path.with_suffix(".svg").write_text(as_svg(chart), encoding="utf-8")
        path.with_suffix(".png").write_bytes(as_png(chart))
    notes = [
        *ANSWERS,
        *list_notes(evaluation),
        f"right track: its mean IoU with one of the expression's objects is above {label_iou:g}, "
        "as in the labels of a training",
    ]
    page = Template((assets / PAGE).read_text(encoding="utf-8")).substitute(
        title=escape(f"{evaluation['dataset']}/{evaluation['split']}"),
        subtitle=escape(_subtitle(evaluation)),
        figures=_figures(evaluation),
        answers=_answers(evaluation),
        own_columns="".join(f'<th scope="col">{escape(n)}</th>' for n in _own(evaluation)),
        notes="".join(f"<li>{escape(note)}</li>" for note in notes),
        plots="".join(_figure(name, chart) for name, chart in charts.items()),
        origin=escape(_origin(evaluation)),
        comparison="" if comparison is None else comparison_section(comparison),
        comparison_link="" if comparison is None else '<a href="#comparison">other run</a>',
        intervals=escape(_intervals(evaluation)),
        menus=_menus(evaluation),
    )
    (folder / PAGE).write_text(page, encoding="utf-8")


def entry_of(entry: Mapping[str, Any], video_number: int) -> dict[str, Any]:
    """What the gallery knows of an expression before its video is loaded.

    Args:
        entry: of evaluation.json's "expressions".
        video_number: names the files of its video.
    """
    names = ("video", "expression", "text", "kind", "objects", "groups")
    return {
        **{name: entry[name] for name in names},
        "file": video_number,
        "answers": {name: entry["answers"][name] for name in SHOWN},
    }


def _with_other(entry: Mapping[str, Any], comparison: Mapping[str, Any]) -> dict[str, Any]:
    other = comparison["answers"][entry["video"], entry["expression"]]
    return {**entry, "answers": {**entry["answers"], OTHER_RUN: other}}


def _subtitle(evaluation: Mapping[str, Any]) -> str:
    return (
        f"{evaluation['num_expressions']} expressions of {evaluation['num_videos']} videos, "
        f"{evaluation['num_tracks']} tracks, threshold {evaluation['threshold']:g}, "
        f"{_scored_by(evaluation)}"
    )


def _figures(evaluation: Mapping[str, Any]) -> str:
    """The numbers to see first, all J&F in percent."""
    results, losses = evaluation["results"], evaluation["losses"]
    best = evaluation["best_threshold"]
    shown = (
        ("J&F of the selection", results[SELECTION], f"at threshold {evaluation['threshold']:g}"),
        ("J&F of the oracle", results[ORACLE], "best choice of the same tracks"),
        ("J&F lost by selection", losses["selection"], "oracle - selection"),
        ("J&F lost by generation", losses["generation"], "100 - oracle"),
        (
            "J&F at the best threshold",
            {**best, "interval": None},
            f"{best['threshold']:g}; chosen on this very split, so flattering",
        ),
    )
    parts = []
    for name, mean, meaning in shown:
        figure, _, interval = with_interval(mean).partition(" ")
        lines = " ".join(filter(None, (interval, meaning)))
        parts.append(
            f'<div class="figure"><span class="name">{escape(name)}</span>'
            f'<span class="value">{figure}</span><span class="meaning">{escape(lines)}</span></div>'
        )
    return "".join(parts)


def _intervals(evaluation: Mapping[str, Any]) -> str:
    if evaluation["results"][SELECTION]["interval"] is None:
        return ""
    return f" In brackets: {evaluation['intervals']['level']:.0%} bootstrap interval over videos."


def _menus(evaluation: Mapping[str, Any]) -> str:
    """What the gallery can be filtered by, where there is something."""
    shown = [name for name, by_label in evaluation["by_group"].items() if len(by_label) > 1]
    kind = ["kind: of the expression, as the data set records it"]
    kinds = kind if len(evaluation["by_kind"]) > 1 else []
    lines = [*kinds, *(f"{name}: {evaluation['groups'][name]}" for name in shown)]
    items = "".join(f"<li>{escape(line)}</li>" for line in lines)
    return f"<details><summary>what the menus are</summary><ul>{items}</ul></details>" * bool(lines)


def _answers(evaluation: Mapping[str, Any]) -> str:
    rows = []
    for label, mean in answer_rows(evaluation):
        cells = [_cell(mean, measure) for measure in ("J", "F", "J&F", *_own(evaluation))]
        cells += [str(mean[name]) for name in ("num_expressions", "num_videos")]
        row = "".join(f"<td>{cell}</td>" for cell in cells)
        rows.append(f"<tr><th scope=row>{escape(label)}</th>{row}</tr>")
    return "".join(rows)


def _own(evaluation: Mapping[str, Any]) -> list[str]:
    """Names of a user's own metrics."""
    return list(evaluation.get("metrics", ()))


def _cell(mean: Mapping[str, Any], measure: str) -> str:
    if mean.get(measure) is None:
        return "-"
    figure = f"{100 * mean[measure]:.1f}"
    if mean["interval"] is None:
        return figure
    lower, upper = mean["interval"][measure]
    return f"{figure} <small>[{100 * lower:.1f}, {100 * upper:.1f}]</small>"


def _figure(name: str, chart: Chart) -> str:
    links = ", ".join(
        f'<a href="{PLOTS_DIR}/{name}.{kind}" '
        f'aria-label="{kind.upper()} of {escape(chart.title)}">{kind.upper()}</a>'
        for kind in ("svg", "png")
    )
    return f"<figure>{as_svg(chart)}<figcaption>{links}</figcaption></figure>"


def _origin(evaluation: Mapping[str, Any]) -> str:
    return json.dumps({k: evaluation[k] for k in FROM_WHERE if k in evaluation}, indent=1)


def _scored_by(evaluation: Mapping[str, Any]) -> str:
    if "checkpoint" in evaluation:
        return f"checkpoint {evaluation['checkpoint']['path']}"
    return f"scorer {evaluation['scorer'].get('name', '')}"
