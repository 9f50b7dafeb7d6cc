"""Charts: where their lines, bars and words go, on whatever they are drawn."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from sola.visualization.report.canvas import Canvas, PngCanvas, SvgCanvas

WIDTH_PX = 640
LINES_HEIGHT_PX = 340
LEFT_PX, RIGHT_PX, TOP_PX, BOTTOM_PX = 56, 18, 58, 46
"""Of a chart with axes, around what they frame."""
LABEL_PX, NUMBER_PX, ROW_PX, BAR_PX = 190, 110, 24, 12
"""Of a chart of bars: words on the left, numbers on the right, a row, a bar in it."""
LETTER_PX = 7
NUM_TICKS = 5


class Chart(Protocol):
    """Something that can be drawn."""

    @property
    def title(self) -> str:
        """What it shows."""

    @property
    def height_px(self) -> float:
        """Its width is ``WIDTH_PX``."""

    def draw(self, canvas: Canvas) -> None:
        """Draws it."""


def as_svg(chart: Chart) -> str:
    """A chart as an SVG document."""
    canvas = SvgCanvas(WIDTH_PX, chart.height_px, chart.title)
    chart.draw(canvas)
    return canvas.finish()


def as_png(chart: Chart) -> bytes:
    """A chart as a PNG file."""
    canvas = PngCanvas(WIDTH_PX, chart.height_px)
    chart.draw(canvas)
    return canvas.finish()


@dataclass(frozen=True)
class Series:
    """One line."""

    name: str
    role: str
    xs: Sequence[float]
    ys: Sequence[float]


@dataclass(frozen=True)
class LineChart:
    """Lines over a common axis."""

    title: str
    x_name: str
    series: Sequence[Series]
    """At least one, with a point."""
    x_marks: Sequence[tuple[float, str]] = ()
    """Upright lines, with a word at the top."""
    from_zero: bool = False
    is_whole: bool = False
    """Whether there is nothing between 1 and 2 on the axis."""
    height_px: float = LINES_HEIGHT_PX

    def draw(self, canvas: Canvas) -> None:
        """See ``Chart``."""
        xs = [x for series in self.series for x in series.xs]
        ys = [y for series in self.series for y in series.ys]
        ys = [*ys, 0.0] if self.from_zero else ys
        frame = _Frame(canvas, xs, ys, self.height_px, is_whole=self.is_whole)
        frame.draw_axes(self.title, self.x_name, [(s.name, s.role) for s in self.series])
        for number, (x, word) in enumerate(self.x_marks):
            frame.mark(x, word, number)
        for series in self.series:
            points = [(frame.x(x), frame.y(y)) for x, y in zip(series.xs, series.ys, strict=True)]
            if len(points) == 1:
                (left, top), *_ = points
                canvas.box(left - 3, top - 3, 6, 6, series.role)
            canvas.line(points, series.role, width_px=2)


@dataclass(frozen=True)
class Histogram:
    """Shares by interval of [0, 1], side by side for several things."""

    title: str
    x_name: str
    shares: Sequence[tuple[str, str, Sequence[float]]]
    """Name, role, and one share an interval, in percent."""
    x_marks: Sequence[tuple[float, str]] = ()
    height_px: float = LINES_HEIGHT_PX

    def draw(self, canvas: Canvas) -> None:
        """See ``Chart``."""
        ys = [y for _, _, shares in self.shares for y in shares]
        frame = _Frame(canvas, [0.0, 1.0], [0.0, *ys], self.height_px)
        frame.draw_axes(self.title, self.x_name, [(name, role) for name, role, _ in self.shares])
        for number, (_, role, shares) in enumerate(self.shares):
            step = (frame.x(1) - frame.x(0)) / len(shares)
            width = (step - 2) / len(self.shares)
            for idx, share in enumerate(shares):
                left, top = frame.x(0) + idx * step + 1 + number * width, frame.y(share)
                canvas.box(left, top, width, frame.y(0) - top, role)
        for number, (x, word) in enumerate(self.x_marks):
            frame.mark(x, word, number)


@dataclass(frozen=True)
class Bar:
    """A row of ``BarChart``, in percent; without a value it is a heading."""

    label: str
    value: float | None = None
    interval: tuple[float, float] | None = None
    bound: float | None = None
    """What could be reached."""
    note: str = ""


@dataclass(frozen=True)
class BarChart:
    """Lying bars from 0 to 100 %, each with its interval and the bound above it."""

    title: str
    bars: Sequence[Bar]
    legend: Sequence[tuple[str, str]] = field(default_factory=tuple)
    """Names and roles."""

    @property
    def height_px(self) -> float:
        """See ``Chart``."""
        return TOP_PX + ROW_PX * len(self.bars) + BOTTOM_PX / 2

    def draw(self, canvas: Canvas) -> None:
        """See ``Chart``."""
        _draw_title(canvas, self.title, self.legend)
        bottom = self.height_px - BOTTOM_PX / 2
        for percent in range(0, 101, 25):
            canvas.line([(self._x(percent), TOP_PX), (self._x(percent), bottom)], "grid")
            canvas.text((self._x(percent), bottom + 12), str(percent), "quiet", anchor="middle")
        for number, bar in enumerate(self.bars):
            self._draw_bar(canvas, bar, TOP_PX + ROW_PX * (number + 0.5))

    def _draw_bar(self, canvas: Canvas, bar: Bar, middle: float) -> None:
        if bar.value is None:
            canvas.text((8, middle), bar.label, "ink")
            return
        canvas.text((LABEL_PX - 10, middle), bar.label, "quiet", anchor="end")
        top = middle - BAR_PX / 2
        canvas.box(self._x(0), top, self._x(bar.value) - self._x(0), BAR_PX, "selection")
        if bar.bound is not None:
            canvas.box(self._x(bar.bound) - 1.5, top - 3, 3, BAR_PX + 6, "oracle")
        if bar.interval is not None:
            lower, upper = map(self._x, bar.interval)
            canvas.line([(lower, middle), (upper, middle)], "ink")
            for end in (lower, upper):
                canvas.line([(end, middle - 3), (end, middle + 3)], "ink")
        canvas.text((WIDTH_PX - NUMBER_PX + 10, middle), bar.note, "ink")

    @staticmethod
    def _x(percent: float) -> float:
        return LABEL_PX + percent / 100 * (WIDTH_PX - LABEL_PX - NUMBER_PX)


class _Frame:
    """Axes, and the places of numbers between them."""

    def __init__(
        self,
        canvas: Canvas,
        xs: Sequence[float],
        ys: Sequence[float],
        height_px: float,
        *,
        is_whole: bool = False,
    ) -> None:
        self.canvas, self.bottom = canvas, height_px - BOTTOM_PX
        self.x_ticks = _ticks(min(xs), max(xs), is_whole=is_whole)
        self.y_ticks = _ticks(min(ys), max(ys))
        self.x_ends = min(xs), max(max(xs), min(xs) + 1e-9)
        self.y_ends = self.y_ticks[0], self.y_ticks[-1]

    def x(self, value: float) -> float:
        first, last = self.x_ends
        return LEFT_PX + (value - first) / (last - first) * (WIDTH_PX - LEFT_PX - RIGHT_PX)

    def y(self, value: float) -> float:
        first, last = self.y_ends
        return self.bottom - (value - first) / (last - first) * (self.bottom - TOP_PX)

    def draw_axes(self, title: str, x_name: str, legend: Sequence[tuple[str, str]]) -> None:
        _draw_title(self.canvas, title, legend)
        for tick in self.y_ticks:
            ends = [(LEFT_PX, self.y(tick)), (WIDTH_PX - RIGHT_PX, self.y(tick))]
            self.canvas.line(ends, "grid")
            self.canvas.text((LEFT_PX - 8, self.y(tick)), f"{tick:g}", "quiet", anchor="end")
        for tick in self.x_ticks:
            if self.x_ends[0] <= tick <= self.x_ends[1]:
                place = (self.x(tick), self.bottom + 14)
                self.canvas.text(place, f"{tick:g}", "quiet", anchor="middle")
        middle = (LEFT_PX + WIDTH_PX - RIGHT_PX) / 2
        self.canvas.text((middle, self.bottom + 34), x_name, "quiet", anchor="middle")

    def mark(self, x: float, word: str, number: int) -> None:
        self.canvas.line([(self.x(x), TOP_PX), (self.x(x), self.bottom)], "quiet")
        is_left = x < sum(self.x_ends) / 2
        place = (self.x(x) + (5 if is_left else -5), TOP_PX + 10 + 18 * number)
        self.canvas.text(place, word, "ink", anchor="start" if is_left else "end")


def _draw_title(canvas: Canvas, title: str, legend: Sequence[tuple[str, str]]) -> None:
    canvas.text((8, 16), title, "ink")
    left = 8.0
    for name, role in legend:
        canvas.box(left, 32, 11, 11, role)
        canvas.text((left + 16, 38), name, "quiet")
        left += 16 + LETTER_PX * len(name) + 18


def _ticks(lowest: float, highest: float, *, is_whole: bool = False) -> list[float]:
    """Round numbers, evenly spaced, of which the first and last enclose the two."""
    span = highest - lowest or abs(highest) or 1.0
    rough = max(span / NUM_TICKS, 1.0) if is_whole else span / NUM_TICKS
    power = 10.0 ** math.floor(math.log10(rough))
    factors = (1, 2, 5, 10) if is_whole else (1, 2, 2.5, 5, 10)
    step = next(factor * power for factor in factors if factor * power >= rough)
    first, last = math.floor(lowest / step + 1e-9), math.ceil(highest / step - 1e-9)
    return [round(number * step, 12) for number in range(first, max(last, first + 1) + 1)]
