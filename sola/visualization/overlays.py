"""Pictures of an answer: frames of a video with masks drawn over them, in one sheet."""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from sola.visualization.colours import MASKS

ORANGE, GREEN = MASKS["selection"], MASKS["truth"]
INK = (20, 20, 20)
PAPER = (255, 255, 255)
OPACITY = 0.45
STRIPE, PERIOD = 2, 8
"""Of stripes, in widths of an outline."""
MAX_LINES = 8
DOTS = "..."
GAP_PX = 4
"""White between two frames."""


@dataclass(frozen=True)
class MaskRow:
    """One row of a sheet: the same frames with masks of one kind."""

    label: str
    masks: NDArray[np.bool_]
    """(T, H, W), one mask a frame shown."""
    colour: tuple[int, int, int]
    """RGB."""


def draw_masks(
    frame: NDArray[np.uint8],
    mask: NDArray[np.bool_],
    colour: tuple[int, int, int],
    *,
    is_striped: bool = False,
) -> NDArray[np.uint8]:
    """A frame with a mask tinted and outlined over it.

    The outline is double, a dark line inside one of the colour: one of the two is seen on any
    object. Pixels outside the mask stay as they are.

    Args:
        frame: (H, W, 3) uint8 RGB.
        mask: (H, W) bool; of another size, it is scaled to the frame's by nearest neighbour.
        colour: RGB.
        is_striped: with slanting stripes of the colour, to be known without seeing it.

    Returns:
        (H, W, 3) uint8 RGB, a new array.
    """
    height, width = frame.shape[:2]
    inside = np.ascontiguousarray(mask).astype(np.uint8)
    if inside.shape != (height, width):
        inside = _as_bytes(cv2.resize(inside, (width, height), interpolation=cv2.INTER_NEAREST))
    drawn = frame.copy()
    tint = (1 - OPACITY) * frame[inside > 0] + OPACITY * np.array(colour)
    drawn[inside > 0] = np.rint(tint).astype(np.uint8)
    line_px = max(1, height // 360)
    if is_striped:
        rows, columns = np.nonzero(inside)
        is_stripe = (rows + columns) % (PERIOD * line_px) < STRIPE * line_px
        drawn[rows[is_stripe], columns[is_stripe]] = colour
    for depth_px, line in ((2 * line_px, INK), (line_px, colour)):
        drawn[inside > _eroded(inside, depth_px)] = line
    return drawn


def contact_sheet(
    frames: Sequence[NDArray[np.uint8]],
    rows: Sequence[MaskRow],
    *,
    title: str,
    caption: str = "",
    frame_names: Sequence[str] = (),
) -> NDArray[np.uint8]:
    """Frames side by side at their own resolution, one row for each kind of mask, under a sentence.

    Args:
        frames: T frames to show, (H, W, 3) uint8 RGB each.
        rows: what to draw, from top to bottom.
        title: the sentence.
        caption: a smaller line below it.
        frame_names: T names, written above the frames.

    Returns:
        The sheet, uint8 RGB.
    """
    height, width = frames[0].shape[:2]
    sheet_width = len(frames) * (width + GAP_PX) - GAP_PX
    font_px = font_size_px(height)
    parts = [text_block(title, sheet_width, font_px + 2)]
    if caption:
        parts.append(text_block(caption, sheet_width, font_px))
    if frame_names:
        names = [text_block(name, width, font_px) for name in frame_names]
        parts.append(_side_by_side(names))
    for row in rows:
        parts.append(_row_label(row, sheet_width, font_px))
        pictures = [
            draw_masks(frame, mask, row.colour)
            for frame, mask in zip(frames, row.masks, strict=True)
        ]
        parts.append(_side_by_side(pictures))
    return np.concatenate(parts)


def evenly_spaced(num_things: int, num_wanted: int) -> list[int]:
    """Indices of up to ``num_wanted`` of ``num_things``, the first and the last among them."""
    if min(num_things, num_wanted) <= 0:
        return []
    if num_wanted == 1:
        return [num_things // 2]
    places = np.linspace(0, num_things - 1, min(num_wanted, num_things))
    return [int(place) for place in np.rint(places)]


def font_size_px(height: int) -> int:
    """Height of letters beside a picture of this height."""
    return int(np.clip(height // 16, 12, 40))


def _eroded(inside: NDArray[np.uint8], depth_px: int) -> NDArray[np.uint8]:
    """Pixels of a mask at least so far from its edge; the picture's border is an edge too."""
    kernel = np.ones((2 * depth_px + 1, 2 * depth_px + 1), np.uint8)
    return _as_bytes(cv2.erode(inside, kernel, borderType=cv2.BORDER_CONSTANT, borderValue=0))


def _side_by_side(pictures: Sequence[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    height = max(picture.shape[0] for picture in pictures)
    parts: list[NDArray[Any]] = []
    for picture in pictures:
        if parts:
            parts.append(np.full((height, GAP_PX, 3), PAPER, dtype=np.uint8))
        padding = ((0, height - picture.shape[0]), (0, 0), (0, 0))
        parts.append(np.pad(picture, padding, constant_values=255))
    return _as_bytes(np.concatenate(parts, axis=1))


def _row_label(row: MaskRow, width_px: int, font_px: int) -> NDArray[np.uint8]:
    """The row's words in ink, which can be read, behind a key in its colour, which could not."""
    words = text_block(row.label, width_px - font_px, font_px)
    key = np.full((len(words), font_px, 3), PAPER, dtype=np.uint8)
    key[GAP_PX:font_px, GAP_PX:] = row.colour
    return _as_bytes(np.concatenate([key, words], axis=1))


def text_block(text: str, width_px: int, font_px: int) -> NDArray[np.uint8]:
    """Text broken into lines that fit, on white: (h, width_px, 3); a long one ends with dots."""
    font = ImageFont.load_default(size=font_px)
    letters = max(len(DOTS) + 1, int((width_px - 2 * GAP_PX) / (0.56 * font_px)))
    lines = textwrap.wrap(text, letters, max_lines=MAX_LINES, placeholder=DOTS) or [""]
    line_px = round(font_px * 1.3)
    picture = Image.new("RGB", (width_px, line_px * len(lines) + GAP_PX), PAPER)
    draw = ImageDraw.Draw(picture)
    for number, line in enumerate(lines):
        draw.text((GAP_PX, number * line_px), line, fill=INK, font=font)
    return np.asarray(picture)


def _as_bytes(array: NDArray[Any]) -> NDArray[np.uint8]:
    return array.astype(np.uint8, copy=False)
