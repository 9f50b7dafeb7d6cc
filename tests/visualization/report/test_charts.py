"""Where charts put things."""

import io
from xml.etree import ElementTree

import pytest
from PIL import Image

from sola.visualization.report.canvas import COLOURS, PNG_SCALE
from sola.visualization.report.charts import (
    Bar,
    BarChart,
    Histogram,
    LineChart,
    Series,
    _ticks,
    as_png,
    as_svg,
)

SVG = "{http://www.w3.org/2000/svg}"
LINES = LineChart("a < b & c", "x", [Series("one", "selection", (0, 1, 2), (0, 50, 100))])


@pytest.mark.parametrize(
    ("ends", "ticks"),
    [
        ((0, 1), [0, 0.2, 0.4, 0.6, 0.8, 1]),
        ((0, 53), [0, 20, 40, 60]),
        ((0.31, 0.42), [0.3, 0.325, 0.35, 0.375, 0.4, 0.425]),
        ((7, 7), [6, 8]),
        ((0, 0), [0, 0.2]),
        ((-1, 1), [-1, -0.5, 0, 0.5, 1]),
    ],
)
def test_ticks_are_round_and_enclose_the_numbers(
    ends: tuple[float, float], ticks: list[float]
) -> None:
    found = _ticks(*ends)

    assert found[0] <= ends[0]
    assert found[-1] >= ends[1]
    assert found == ticks


@pytest.mark.parametrize("num_epochs", [1, 2, 3, 12, 40])
def test_epochs_are_whole(num_epochs: int) -> None:
    found = _ticks(0, num_epochs, is_whole=True)

    assert all(tick == int(tick) for tick in found)
    assert 2 <= len(found) <= 8


def test_a_line_rises_with_its_numbers() -> None:
    root = ElementTree.fromstring(as_svg(LINES))
    (line,) = [e for e in root.iter(f"{SVG}polyline") if "selection" in e.attrib["class"]]
    places = [tuple(map(float, at.split(","))) for at in line.attrib["points"].split()]

    assert [x for x, _ in places] == sorted(x for x, _ in places)
    tops = [y for _, y in places]
    assert tops == sorted(tops, reverse=True)
    assert tops[1] == pytest.approx((tops[0] + tops[2]) / 2)
    assert (root.findtext(f"{SVG}title"), LINES.title) == ("a < b & c", "a < b & c")


@pytest.mark.parametrize("value", [0.0, 40.0, 100.0])
def test_the_picture_of_a_bar_is_as_long_as_the_drawing(value: float) -> None:
    chart = BarChart("bars", [Bar("one", value, (value, value), 100.0, "n")])
    root = ElementTree.fromstring(as_svg(chart))
    (bar,) = [e for e in root.iter(f"{SVG}rect") if e.attrib["class"] == "selection"]
    width, top = float(bar.attrib["width"]), float(bar.attrib["y"])

    image = Image.open(io.BytesIO(as_png(chart)))
    colour = tuple(bytes.fromhex(COLOURS["selection"][1:]))
    row = [image.getpixel((x, round((top + 2) * PNG_SCALE))) for x in range(image.width)]

    assert row.count(colour) == pytest.approx(PNG_SCALE * width, abs=8)  # less the lines over it


def test_shares_stand_side_by_side() -> None:
    chart = Histogram("h", "x", [("r", "right", [0, 100.0]), ("w", "wrong", [50.0, 0])])
    root = ElementTree.fromstring(as_svg(chart))
    boxes = {
        role: [e.attrib for e in root.iter(f"{SVG}rect") if e.attrib["class"] == role][1:]
        for role in ("right", "wrong")  # the first is in the legend
    }

    heights = {role: [float(box["height"]) for box in found] for role, found in boxes.items()}
    assert heights["right"] == pytest.approx([0, 2 * heights["wrong"][0]], abs=0.1)
    first = boxes["right"][0]
    right_edge = float(first["x"]) + float(first["width"])
    assert float(boxes["wrong"][0]["x"]) == pytest.approx(right_edge, abs=0.11)
