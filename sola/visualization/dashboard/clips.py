"""Short videos for a dashboard: what an answer has right and wrong, and the tracks of a video."""

import colorsys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sola.masks import areas
from sola.types import Expression
from sola.visualization.dashboard.values import Clip
from sola.visualization.mp4 import write_mp4
from sola.visualization.overlays import PAPER, draw_masks, font_size_px, text_block
from sola.visualization.report.videos import ShownVideo, draw_answer, read_frames, union_at

FPS = 6.0
"""Of all clips: data sets do not say theirs."""
MIN_WIDTH_PX = 256
"""Of a clip, for the words above it; smaller frames are magnified, by a whole number."""
LEGEND = "green right, blue missed, striped red wrong"


def draw_answer_clip(
    path: Path, shown: ShownVideo, expression: Expression, selected: Sequence[int], caption: str
) -> Clip:
    """A video with what the selected tracks have right, missed and wrong.

    Args:
        path: of the mp4.
        shown: the video.
        expression: of it, with known objects.
        selected: tracks.
        caption: a line below the sentence.

    Raises:
        ValueError: if a frame cannot be read.
    """
    targets = [shown.object_masks[name] for name in expression.object_ids or ()]
    chosen = [shown.track_masks[idx] for idx in selected]
    pictures = [
        draw_answer(frame, *(union_at(masks, idx, shown.size) for masks in (targets, chosen)))
        for idx, frame in enumerate(read_frames(shown))
    ]
    num_pixels = areas([*targets, *chosen]).reshape(-1, len(pictures)).sum(axis=0)
    heading = (f'"{expression.text.strip()}"', caption, LEGEND)
    return _write(path, pictures, heading, int(np.argmax(num_pixels)))


def draw_tracks_clip(path: Path, shown: ShownVideo, caption: str) -> Clip:
    """A video with all its tracks, each in a colour of its own.

    Args:
        path: of the mp4.
        shown: the video.
        caption: a line below its name.

    Raises:
        ValueError: if a frame cannot be read.
    """
    pictures = read_frames(shown)
    for number, masklet in enumerate(shown.track_masks):
        pictures = [
            draw_masks(picture, union_at([masklet], idx, shown.size), _colour(number))
            for idx, picture in enumerate(pictures)
        ]
    heading = (f"video {shown.video.video_id}", caption)
    return _write(path, pictures, heading, len(pictures) // 2)


def count_tracks(num_tracks: int) -> str:
    """A number of tracks in words of a caption."""
    return f"{num_tracks} track{'' if num_tracks == 1 else 's'}"


def _write(
    path: Path, pictures: Sequence[NDArray[np.uint8]], heading: Sequence[str], best: int
) -> Clip:
    scale = max(1, MIN_WIDTH_PX // pictures[0].shape[1])
    pictures = [picture.repeat(scale, axis=0).repeat(scale, axis=1) for picture in pictures]
    height, width = pictures[0].shape[:2]
    full_width = max(width, MIN_WIDTH_PX) + max(width, MIN_WIDTH_PX) % 2
    font_px = font_size_px(height)
    words = np.concatenate([text_block(line, full_width, font_px) for line in heading])
    padding = ((0, (len(words) + height) % 2), (0, full_width - width), (0, 0))

    def page(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
        padded = np.pad(picture, padding, constant_values=PAPER[0])
        return np.concatenate([words, padded])

    pages = [page(picture) for picture in pictures]
    times_s = [idx / FPS for idx in range(len(pages) + 1)]
    write_mp4(path, pages, times_s, size=(pages[0].shape[0], full_width), fps=FPS)
    return Clip(path, pages[best], caption=", ".join(heading[:2]))


def _colour(number: int) -> tuple[int, int, int]:
    """Neighbours differ most: steps of the golden ratio around the circle of hues."""
    red, green, blue = colorsys.hsv_to_rgb(number * 0.618 % 1, 0.8, 1.0)
    return round(255 * red), round(255 * green), round(255 * blue)
