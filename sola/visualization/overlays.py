"""Draw masks over video frames, and contact sheets of frames below a sentence."""

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from sola.visualization.colours import MASKS, track_colour
from sola.visualization.fonts import INK, draw_line, length_px, load_font, wrap

ORANGE, GREEN = MASKS["selection"], MASKS["truth"]
PAPER = (255, 255, 255)
OPACITY = 0.45
# Width and spacing of stripes, in widths of the outline.
STRIPE, PERIOD = 2, 8
MAX_LINES = 8
# Width of the white gap between two frames.
GAP_PX = 4


class MaskRow(NamedTuple):
    """One row of a contact sheet: the frames with masks of one kind.

    Attributes:
        label: name of the masks.
        masks: (T, H, W), one mask per frame.
        colour: RGB.
    """

    label: str
    masks: NDArray[np.bool_]
    colour: tuple[int, int, int]


def draw_masks(
    frame: NDArray[np.uint8],
    mask: NDArray[np.bool_],
    colour: tuple[int, int, int],
    *,
    is_striped: bool = False,
    opacity: float = OPACITY,
) -> NDArray[np.uint8]:
    """Return a frame with a tinted and outlined mask drawn over it.

    The outline is double, a dark line inside a line of the colour, so that one of the two is
    visible on any object. Pixels outside the mask do not change.

    Args:
        frame: (H, W, 3) uint8 RGB.
        mask: (H, W) bool; a mask of another size is scaled to the frame by nearest neighbour.
        colour: RGB.
        is_striped: whether to hatch the mask, so that it is recognisable without colour.
        opacity: of the tint, 0 to 1; 0 draws only the outline.

    Returns:
        (H, W, 3) uint8 RGB, a new array.
    """
    height, width = frame.shape[:2]
    inside = np.ascontiguousarray(mask).astype(np.uint8)
    if inside.shape != (height, width):
        inside = np.asarray(cv2.resize(inside, (width, height), interpolation=cv2.INTER_NEAREST))
    drawn = frame.copy()
    left, top, box_width, box_height = cv2.boundingRect(inside)
    box = (slice(top, top + box_height), slice(left, left + box_width))
    inside, part = inside[box], drawn[box]
    if not inside.size:
        return drawn
    tint = (1 - opacity) * part[inside > 0] + opacity * np.array(colour)
    part[inside > 0] = np.rint(tint).astype(np.uint8)
    line_px = max(1, height // 360)
    if is_striped:
        rows, columns = np.nonzero(inside)
        is_stripe = (rows + columns + top + left) % (PERIOD * line_px) < STRIPE * line_px
        part[rows[is_stripe], columns[is_stripe]] = colour
    for depth_px, line in ((2 * line_px, INK), (line_px, colour)):
        kernel = np.ones((2 * depth_px + 1, 2 * depth_px + 1), np.uint8)
        # the border of the picture counts as an edge
        core = cv2.erode(inside, kernel, borderType=cv2.BORDER_CONSTANT, borderValue=0)
        part[inside > core] = line
    return drawn


def draw_answer(
    frame: NDArray[np.uint8], target: NDArray[np.bool_], answer: NDArray[np.bool_]
) -> NDArray[np.uint8]:
    """Return a frame with the correct, missed and (hatched) wrong pixels of an answer.

    Args:
        frame: (H, W, 3) uint8 RGB.
        target: (H, W) bool, the objects of the expression.
        answer: (H, W) bool, the selected tracks.

    Returns:
        (H, W, 3) uint8 RGB, a new array.
    """
    frame = draw_masks(frame, target & answer, MASKS["hit"])
    frame = draw_masks(frame, target & ~answer, MASKS["missed"])
    return draw_masks(frame, answer & ~target, MASKS["wrong"], is_striped=True)


def draw_tracks(
    frame: NDArray[np.uint8], masks: Mapping[int, NDArray[np.bool_]], tinted: Collection[int]
) -> NDArray[np.uint8]:
    """Return a frame with the outline and number of each track, each in its own colour.

    Args:
        frame: (H, W, 3) uint8 RGB.
        masks: number of a track -> (h, w) bool mask of any size; the first are drawn on top.
        tinted: numbers of the tracks whose inside is tinted too.

    Returns:
        (H, W, 3) uint8 RGB, a new array.
    """
    drawn = frame.copy()
    for number, mask in reversed([*masks.items()]):
        opacity = OPACITY if number in tinted else 0
        drawn = draw_masks(drawn, mask, track_colour(number), opacity=opacity)
    picture = Image.fromarray(drawn)
    draw, font_px = ImageDraw.Draw(picture), small_font_px(len(frame))
    font, edge_px = load_font(font_px), max(2, font_px // 8)
    taken: list[tuple[float, float]] = []
    for number, mask in masks.items():
        if mask.any():
            taken.append(_free_place(_middle(mask, picture.size), taken, font_px, picture.size))
            light = tuple((255 + channel) // 2 for channel in track_colour(number))
            draw.text(
                taken[-1], str(number), light, font, "mm", stroke_width=edge_px, stroke_fill=INK
            )
    return np.array(picture)


def contact_sheet(
    frames: Sequence[NDArray[np.uint8]], rows: Sequence[MaskRow], heading: Sequence[str]
) -> NDArray[np.uint8]:
    """Return frames side by side at their own resolution, one row per kind of mask.

    Args:
        frames: T frames, (H, W, 3) uint8 RGB each.
        rows: masks to draw, from top to bottom.
        heading: texts at the top, each starting on a new line.

    Returns:
        The sheet, uint8 RGB.
    """
    height, width = frames[0].shape[:2]
    sheet_width = len(frames) * (width + GAP_PX) - GAP_PX
    font_px = font_size_px(height)
    parts = [text_block(text, sheet_width, font_px) for text in heading]
    for row in rows:
        label = text_block(row.label, sheet_width, font_px, indent_px=font_px)
        label[GAP_PX:font_px, GAP_PX:font_px] = row.colour
        gap = np.full((height, GAP_PX, 3), PAPER, np.uint8)
        pairs = zip(frames, row.masks, strict=True)
        pictures = [part for pair in pairs for part in (draw_masks(*pair, row.colour), gap)]
        parts += [label, np.concatenate(pictures[:-1], axis=1)]
    return np.concatenate(parts)


def evenly_spaced(num_things: int, num_wanted: int) -> list[int]:
    """Return indices of up to ``num_wanted`` of ``num_things``, including the first and last."""
    if min(num_things, num_wanted) <= 0:
        return []
    if num_wanted == 1:
        return [num_things // 2]
    places = np.linspace(0, num_things - 1, min(num_wanted, num_things))
    return [int(place) for place in np.rint(places)]


def font_size_px(height: int) -> int:
    """Return the font size for text beside a picture of this height."""
    return int(np.clip(height // 16, 12, 40))


def small_font_px(height: int) -> int:
    """Return the font size for numbers and legends of a picture of this height."""
    return max(12, font_size_px(height) * 2 // 3)


def text_block(text: str, width_px: int, font_px: int, *, indent_px: int = 0) -> NDArray[np.uint8]:
    """Return text wrapped to a width, on white: (h, width_px, 3); long text ends with dots."""
    lines = wrap(text, width_px - indent_px - 2 * GAP_PX, font_px, MAX_LINES)
    line_px = round(font_px * 1.3)
    picture = Image.new("RGB", (width_px, line_px * len(lines) + GAP_PX), PAPER)
    for number, line in enumerate(lines):
        draw_line(picture, (GAP_PX + indent_px, number * line_px + font_px), line, font_px)
    return np.array(picture)


def legend_block(
    label: str,
    entries: Sequence[tuple[str, tuple[int, int, int]]],
    more: str,
    width_px: int,
    font_px: int,
) -> NDArray[np.uint8]:
    """Return a label, coloured squares with texts, and a last text, on white: (h, width_px, 3)."""
    line_px, x, y = round(font_px * 1.3), GAP_PX, 0
    places = []
    for text, colour in [(label, PAPER), *entries, (more, PAPER)]:
        indent_px = 0 if colour == PAPER else font_px
        advance_px = indent_px + round(length_px(text, font_px)) + font_px
        if x > GAP_PX and x + advance_px - font_px > width_px:
            x, y = GAP_PX, y + line_px
        places.append((x, y, indent_px, text, colour))
        x += advance_px
    picture = Image.new("RGB", (width_px, y + line_px + GAP_PX), PAPER)
    for x, y, indent_px, text, colour in places:
        square = (x, y + font_px // 4, x + font_px * 3 // 4, y + font_px)
        ImageDraw.Draw(picture).rectangle(square, fill=colour)
        draw_line(picture, (x + indent_px, y + font_px), text, font_px)
    return np.array(picture)


def _middle(mask: NDArray[np.bool_], size: tuple[int, int]) -> tuple[float, float]:
    """Return (x, y) in the middle of a mask that is not empty, in a picture of (W, H) ``size``."""
    inside = np.ascontiguousarray(mask).astype(np.uint8)
    moments = cv2.moments(inside, binaryImage=True)
    x, y = int(moments["m10"] / moments["m00"]), int(moments["m01"] / moments["m00"])
    if not inside[y, x]:  # the pixel farthest from the edge
        x, y = cv2.minMaxLoc(cv2.distanceTransform(inside, cv2.DIST_L2, 3))[3]
    return (x + 0.5) * size[0] / mask.shape[1], (y + 0.5) * size[1] / mask.shape[0]


def _free_place(
    middle: tuple[float, float],
    taken: Sequence[tuple[float, float]],
    font_px: int,
    size: tuple[int, int],
) -> tuple[float, float]:
    """Return the place for a number nearest to a middle, above or below those that are taken."""
    x, y = np.clip(middle, font_px, np.subtract(size, font_px)).tolist()
    offsets = sorted(range(-len(taken), len(taken) + 1), key=abs)
    for place in ((x, y + offset * 1.2 * font_px) for offset in offsets):
        if font_px / 2 <= place[1] <= size[1] - font_px / 2 and all(
            abs(x - left) > 2 * font_px or abs(place[1] - top) > font_px for left, top in taken
        ):
            return place
    return x, y
