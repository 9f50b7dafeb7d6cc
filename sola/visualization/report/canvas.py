"""What a chart is drawn on: the same lines, boxes and words as SVG and as PNG."""

import io
from collections.abc import Sequence
from typing import Literal, Protocol
from xml.sax.saxutils import escape

from PIL import Image, ImageDraw, ImageFont

from sola.visualization.colours import LIGHT

Anchor = Literal["start", "middle", "end"]
Point = tuple[float, float]

COLOURS = LIGHT | {"paper": LIGHT["card"]}
"""By role. The page gives roles other colours when it is dark, by the class of the same name."""
FONT_PX = 13
PNG_SCALE = 2


class Canvas(Protocol):
    """A picture that grows; places are in px from the upper left."""

    def line(self, points: Sequence[Point], role: str, *, width_px: float = 1) -> None:
        """A line through some points."""

    def box(self, left: float, top: float, width: float, height: float, role: str) -> None:
        """A filled box."""

    def text(self, at: Point, words: str, role: str, *, anchor: Anchor = "start") -> None:
        """Words beside a place, in its middle height."""


class SvgCanvas:
    """Draws SVG.

    Args:
        width: in px.
        height: in px.
        title: for those who cannot see it.
    """

    def __init__(self, width: float, height: float, title: str) -> None:
        self._parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" class="plot" role="img" '
            f'viewBox="0 0 {width:g} {height:g}" width="{width:g}" height="{height:g}" '
            f'font-family="system-ui, sans-serif" font-size="{FONT_PX}">',
            f"<title>{escape(title)}</title>",
        ]
        self.box(0, 0, width, height, "paper")

    def line(self, points: Sequence[Point], role: str, *, width_px: float = 1) -> None:
        """See ``Canvas``."""
        places = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        self._parts.append(
            f'<polyline class="line {role}" points="{places}" fill="none" '
            f'stroke="{COLOURS[role]}" stroke-width="{width_px:g}" stroke-linejoin="round"/>'
        )

    def box(self, left: float, top: float, width: float, height: float, role: str) -> None:
        """See ``Canvas``."""
        self._parts.append(
            f'<rect class="{role}" x="{left:.1f}" y="{top:.1f}" width="{width:.1f}" '
            f'height="{height:.1f}" fill="{COLOURS[role]}"/>'
        )

    def text(self, at: Point, words: str, role: str, *, anchor: Anchor = "start") -> None:
        """See ``Canvas``."""
        self._parts.append(
            f'<text class="{role}" x="{at[0]:.1f}" y="{at[1] + 0.35 * FONT_PX:.1f}" '
            f'text-anchor="{anchor}" fill="{COLOURS[role]}">{escape(words)}</text>'
        )

    def finish(self) -> str:
        """The document."""
        return "\n".join([*self._parts, "</svg>\n"])


class PngCanvas:
    """Draws a PNG of ``PNG_SCALE`` times the size.

    Args:
        width: in px.
        height: in px.
    """

    def __init__(self, width: float, height: float) -> None:
        size = (round(width * PNG_SCALE), round(height * PNG_SCALE))
        self._image = Image.new("RGB", size, COLOURS["paper"])
        self._draw = ImageDraw.Draw(self._image)
        self._font = ImageFont.load_default(size=FONT_PX * PNG_SCALE)

    def line(self, points: Sequence[Point], role: str, *, width_px: float = 1) -> None:
        """See ``Canvas``."""
        places = [(x * PNG_SCALE, y * PNG_SCALE) for x, y in points]
        width = max(1, round(width_px * PNG_SCALE))
        self._draw.line(places, fill=COLOURS[role], width=width, joint="curve")

    def box(self, left: float, top: float, width: float, height: float, role: str) -> None:
        """See ``Canvas``."""
        if width <= 0 or height <= 0:
            return
        edges = (left, top, left + width, top + height)
        first_x, first_y, end_x, end_y = (round(edge * PNG_SCALE) for edge in edges)
        last = (max(first_x, end_x - 1), max(first_y, end_y - 1))  # Pillow draws it too
        self._draw.rectangle([(first_x, first_y), last], fill=COLOURS[role])

    def text(self, at: Point, words: str, role: str, *, anchor: Anchor = "start") -> None:
        """See ``Canvas``."""
        place = (at[0] * PNG_SCALE, at[1] * PNG_SCALE)
        side = {"start": "l", "middle": "m", "end": "r"}[anchor]
        self._draw.text(place, words, fill=COLOURS[role], font=self._font, anchor=f"{side}m")

    def finish(self) -> bytes:
        """The file."""
        file = io.BytesIO()
        self._image.save(file, "PNG", optimize=True)
        return file.getvalue()
