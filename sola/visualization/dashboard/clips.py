"""Short videos for a dashboard: the answer to an expression, and the tracks of a video."""

import colorsys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sola.visualization.dashboard.board import VideoClip
from sola.visualization.mp4 import write_mp4
from sola.visualization.overlays import PAPER, draw_answer, draw_masks, font_size_px, text_block
from sola.visualization.videos import ShownVideo

# frames a second: data sets do not state theirs
FPS = 6.0
# smaller frames are magnified by a whole number, for the words above them
MIN_WIDTH_PX = 256
LEGEND = "green correct, white missed, hatched red wrong"


def draw_answer_clip(
    path: Path, shown: ShownVideo, sentence: str, selected: Sequence[int], caption: str
) -> VideoClip:
    """Write a video of the correct, missed and wrong pixels of the selected tracks.

    Args:
        path: of the mp4.
        shown: the video, with the objects of the expression only.
        sentence: the expression.
        selected: tracks.
        caption: a line below the sentence.
    """
    target = shown.union(shown.objects.values())
    answer = shown.union([shown.tracks[idx] for idx in selected])
    pictures = [draw_answer(*each) for each in zip(shown.frames, target, answer, strict=True)]
    best = int(np.argmax((target | answer).sum(axis=(1, 2))))
    return _write(path, pictures, (f'"{sentence.strip()}"', caption, LEGEND), best)


def draw_tracks_clip(path: Path, shown: ShownVideo, caption: str) -> VideoClip:
    """Write a video with all its tracks, each in its own colour.

    Args:
        path: of the mp4.
        shown: the video.
        caption: a line below its name.
    """
    pictures = shown.frames
    for number, masklet in enumerate(shown.tracks):
        # steps of the golden ratio around the circle of hues: neighbours differ most
        red, green, blue = colorsys.hsv_to_rgb(number * 0.618 % 1, 0.8, 1.0)
        colour = (round(255 * red), round(255 * green), round(255 * blue))
        pairs = zip(pictures, shown.union([masklet]), strict=True)
        pictures = [draw_masks(*pair, colour) for pair in pairs]
    return _write(path, pictures, (f"video {shown.video.video_id}", caption), len(pictures) // 2)


def count_tracks(num_tracks: int) -> str:
    """Return a number of tracks in words."""
    return f"{num_tracks} track{'' if num_tracks == 1 else 's'}"


def _write(
    path: Path, pictures: Sequence[NDArray[np.uint8]], heading: Sequence[str], best: int
) -> VideoClip:
    """A video below its heading, both sides padded to even numbers of pixels."""
    scale = max(1, MIN_WIDTH_PX // pictures[0].shape[1])
    height, width = (scale * side for side in pictures[0].shape[:2])
    full_width = max(width, MIN_WIDTH_PX) + width % 2
    words = np.concatenate([text_block(line, full_width, font_size_px(height)) for line in heading])
    padding = ((0, (len(words) + height) % 2), (0, full_width - width), (0, 0))
    pages = []
    for picture in pictures:
        large = picture.repeat(scale, axis=0).repeat(scale, axis=1)
        pages.append(np.concatenate([words, np.pad(large, padding, constant_values=PAPER[0])]))
    times_s = [idx / FPS for idx in range(len(pages) + 1)]
    write_mp4(path, pages, times_s, size=(pages[0].shape[0], full_width), fps=FPS)
    return VideoClip(path, pages[best], caption=", ".join(heading[:2]))
