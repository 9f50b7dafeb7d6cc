"""Plots: the right numbers in the right places, as PNG, SVG and part of a page."""

from pathlib import Path
from xml.etree import ElementTree

import pytest
from PIL import Image

from sola.visualization.colours import LIGHT
from sola.visualization.plots import (
    LinePlot,
    draw_lines,
    draw_report_plots,
    write_plot,
)

LINES = LinePlot("a < b & c", "x", {"one": ("selection", (0, 1, 2), (10, 50, 100))})
MEAN = {"J&F": 0.4, "interval": {"J&F": [0.3, 0.6]}, "num_expressions": 7}
MEANS = {"selection": MEAN, "oracle": {"J&F": 1.0}}
EVALUATION = {
    "curve": [{"threshold": 0.25, "J&F": 0.3}, {"threshold": 0.75, "J&F": 0.4}],
    "results": {"oracle": {"J&F": 0.9}},
    "threshold": 0.5,
    "best_threshold": {"threshold": 0.75},
    "by_kind": {"": MEANS},
    "by_group": {
        "size": {"small": MEANS, "large": {**MEANS, "selection": MEAN | {"interval": None}}}
    },
}


def test_lines_begin_at_zero_and_marks_are_in_the_legend() -> None:
    (axes,) = draw_report_plots(EVALUATION, [])["threshold_curve"].axes
    drawn = {line.get_label(): line for line in axes.lines}
    legend = axes.get_legend()

    assert axes.get_ylim()[0] == 0
    assert list(drawn["selection"].get_ydata()) == [30, 40]
    assert drawn["used: 0.5"].get_xdata() == [0.5, 0.5]
    assert drawn["best here: 0.75"].get_xdata() == [0.75, 0.75]
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == list(drawn)
    assert drawn["used: 0.5"].get_linestyle() != drawn["best here: 0.75"].get_linestyle()


def test_plots_without_data_are_left_out() -> None:
    one_group = EVALUATION | {"by_group": {"size": {"small": MEANS}}}

    assert draw_report_plots(one_group, []).keys() == {"threshold_curve"}
    found = draw_report_plots(EVALUATION, [(0, 0.9, True), (1, 0.1, False)])
    assert found.keys() == {"threshold_curve", "score_distribution", "by_group"}


def test_bars_have_their_interval_and_the_oracle() -> None:
    (axes,) = draw_report_plots(EVALUATION, [])["by_group"].axes

    assert [bar.get_width() for bar in axes.patches] == [40, 40]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["size: small", "size: large"]
    oracle, interval = axes.lines
    assert oracle.get_xdata().tolist() == [100, 100]
    assert list(interval.get_xdata()) == [30, 60]


def test_histogram_shows_shares_of_correct_and_wrong_tracks() -> None:
    scores = [(0, 0.91, True), (1, 0.92, True), (2, 0.01, True), (3, 0.01, False)]
    figures = draw_report_plots(EVALUATION, scores)
    (axes,) = figures["score_distribution"].axes
    heights = [bar.get_height() for bar in axes.patches]

    assert heights[0] == pytest.approx(100 / 3)
    assert heights[18] == pytest.approx(200 / 3)
    assert heights[20] == 100  # of the wrong ones, in the first interval


def test_png_svg_and_page_show_the_same_plot(tmp_path: Path) -> None:
    page = write_plot(draw_lines(LINES), tmp_path / "plot")
    first = (tmp_path / "plot.svg").read_bytes()
    write_plot(draw_lines(LINES), tmp_path / "plot")

    assert (tmp_path / "plot.svg").read_bytes() == first
    text = "".join(ElementTree.fromstring(first).itertext())
    assert "a < b & c" in text
    assert "one" in text
    assert LIGHT["selection"] in first.decode()
    assert "var(--selection)" in page
    assert not any(colour in page for colour in LIGHT.values())
    colour = tuple(bytes.fromhex(LIGHT["selection"][1:]))
    with Image.open(tmp_path / "plot.png") as image:
        assert colour in {found for _, found in image.convert("RGB").getcolors(1 << 20) or ()}
