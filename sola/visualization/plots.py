"""Draw the plots of reports and dashboards with matplotlib.

Matplotlib is imported only when a plot is drawn, as the import takes a second.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from sola.evaluation.measure import ORACLE, SELECTION
from sola.visualization.colours import LIGHT

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

JF = "J&F"
NUM_BINS = 20
ScoredTrack = tuple[int, float, bool]  # track, its score, and whether it is correct


class LinePlot(NamedTuple):
    """Lines over a common x axis, for ``draw_lines`` or for W&B, which draws them itself.

    Attributes:
        title: title of the plot.
        x_name: label of the x axis.
        lines: name -> (role, xs, ys); a role is a key of ``sola.visualization.colours.LIGHT``.
    """

    title: str
    x_name: str
    lines: Mapping[str, tuple[str, Sequence[float], Sequence[float]]]


def draw_lines(plot: LinePlot, marks: Mapping[str, tuple[float, str]] | None = None) -> Figure:
    """Return a figure of lines; its y axis includes zero.

    Args:
        plot: the lines.
        marks: name -> (x, line style) of vertical lines.
    """
    figure, axes = _new_figure(plot.title, plot.x_name)
    for name, (role, xs, ys) in plot.lines.items():
        axes.plot(xs, ys, color=LIGHT[role], label=name)
    for name, (x, style) in (marks or {}).items():
        axes.axvline(x, color=LIGHT["quiet"], linewidth=1, linestyle=style, label=name)
    axes.set_ylim(bottom=min(0, axes.get_ylim()[0]))
    _add_legend(axes)
    return figure


def draw_report_plots(
    evaluation: Mapping[str, Any], scores: Sequence[ScoredTrack]
) -> dict[str, Figure]:
    """Return the plots of a report, by file name.

    Args:
        evaluation: content of evaluation.json.
        scores: scores of every expression's tracks.
    """
    figures = {"threshold_curve": _threshold_curve(evaluation)}
    if scores:
        figures["score_distribution"] = _score_histogram(scores, evaluation["threshold"])
    groups = {"kind": evaluation["by_kind"], **evaluation["by_group"]}
    rows = {
        f"{name}: {label or '(none)'}": means
        for name, by_label in groups.items()
        for label, means in by_label.items()
        if len(by_label) > 1
    }
    if rows:
        figures["by_group"] = _bars("J&F (%) by kind and group of expressions", rows)
    return figures


def write_plot(figure: Figure, path: Path) -> str:
    """Write a plot as PNG and SVG.

    Args:
        figure: the plot.
        path: path of the files, without suffix.

    Returns:
        The SVG to embed in a page, with colours that follow the theme of the page.
    """
    from matplotlib import rc_context

    figure.savefig(path.with_suffix(".png"), dpi=200)
    # text stays text, and equal plots give equal files
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "sola"}):
        no_metadata = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        figure.savefig(path.with_suffix(".svg"), metadata=no_metadata)
    svg = path.with_suffix(".svg").read_text(encoding="utf-8")
    for role, colour in LIGHT.items():
        svg = svg.replace(colour, f"var(--{role})")
    return svg[svg.index("<svg") :]


def _threshold_curve(evaluation: Mapping[str, Any]) -> Figure:
    curve, oracle = evaluation["curve"], 100 * evaluation["results"][ORACLE][JF]
    xs, ys = [point["threshold"] for point in curve], [100 * point[JF] for point in curve]
    lines = {"selection": ("selection", xs, ys), "oracle": ("oracle", [0, 1], [oracle] * 2)}
    threshold, best = evaluation["threshold"], evaluation["best_threshold"]["threshold"]
    marks = {f"used: {threshold:g}": (threshold, "--"), f"best here: {best:g}": (best, ":")}
    return draw_lines(LinePlot("J&F (%) by threshold", "threshold of the score", lines), marks)


def _score_histogram(scored: Sequence[ScoredTrack], threshold: float) -> Figure:
    correct, wrong = ([s for _, s, own in scored if own is label] for label in (True, False))
    figure, axes = _new_figure("Scores of correct and of wrong tracks (% of each)", "score")
    axes.hist(
        [correct, wrong],
        bins=NUM_BINS,
        range=(0, 1),
        weights=[np.full(len(scores), 100 / max(len(scores), 1)) for scores in (correct, wrong)],
        color=[LIGHT["correct"], LIGHT["wrong"]],
        label=[f"correct tracks ({len(correct)})", f"wrong tracks ({len(wrong)})"],
    )
    axes.axvline(threshold, color=LIGHT["quiet"], ls="--", lw=1, label=f"threshold: {threshold:g}")
    _add_legend(axes)
    return figure


def _bars(title: str, means: Mapping[str, Any]) -> Figure:
    """Return a bar chart of the selection, with its intervals and the oracle."""
    figure, axes = _new_figure(title, height_in=1 + 0.24 * len(means))
    rows, selections = range(len(means)), [by_answer[SELECTION] for by_answer in means.values()]
    values = [100 * mean[JF] for mean in selections]
    oracles = [100 * by_answer[ORACLE][JF] for by_answer in means.values()]
    axes.barh(rows, values, 0.5, color=LIGHT["selection"], label="selection, with its interval")
    (line,) = axes.plot(oracles, rows, "|", color=LIGHT["oracle"], ms=13, mew=3, label="oracle")
    line.set_clip_on(False)
    for row, value, mean in zip(rows, values, selections, strict=True):
        note = f"{value:.1f}  (n = {mean['num_expressions']})"
        axes.text(103, row, note, va="center", color=LIGHT["ink"], fontsize=9)
        if mean["interval"] is not None:
            ends = [100 * end for end in mean["interval"][JF]]
            axes.plot(ends, [row, row], "|-", color=LIGHT["ink"], linewidth=1)
    axes.set_yticks(rows, list(means))
    axes.set_ylim(len(means) - 0.5, -0.5)
    axes.set_xlim(0, 100)
    axes.grid(axis="y", visible=False)
    _add_legend(axes)
    return figure


def _new_figure(title: str, x_name: str = "", height_in: float = 3.4) -> tuple[Figure, Axes]:
    from matplotlib.figure import Figure

    figure = Figure((6.4, height_in), layout="constrained", facecolor=LIGHT["card"])
    axes = figure.subplots()
    axes.set_title(title, loc="left", pad=24, fontsize=11, color=LIGHT["ink"])
    axes.set_xlabel(x_name, color=LIGHT["quiet"])
    axes.set_facecolor(LIGHT["card"])
    axes.tick_params(colors=LIGHT["quiet"], length=0)
    axes.spines[:].set_visible(False)
    axes.grid(color=LIGHT["grid"])
    axes.set_axisbelow(True)
    return figure, axes


def _add_legend(axes: Axes) -> None:
    """Place the legend between the title and the plot."""
    axes.legend(
        loc="lower left", bbox_to_anchor=(0, 1), ncols=4, frameon=False, labelcolor=LIGHT["quiet"]
    )
