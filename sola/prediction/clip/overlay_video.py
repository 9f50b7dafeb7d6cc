"""Overlay videos: an answer drawn over the clip, for a browser to play."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from sola.datasets.frames import VideoFrames
from sola.masks import decode
from sola.prediction.clip.extraction import Clip
from sola.types import Masklet, Video
from sola.visualization.mp4 import write_mp4
from sola.visualization.overlays import ORANGE, draw_masks, font_size_px, text_block


def write_overlay(
    path: Path, clip: Clip, video: Video, union: Masklet, *, title: str, caption: str
) -> None:
    """Writes an mp4 (H.264, yuv420p) that shows each frame when the clip shows it.

    The sentence stands above the picture; an odd width or height gets one white column on the
    right or one white row below, as the format needs even ones.

    Args:
        path: of the mp4.
        clip: its size and times.
        video: its frames.
        union: T masks to draw.
        title: the sentence.
        caption: a smaller line below it.
    """
    heading = _heading(clip, title, caption)
    write_mp4(
        path,
        _drawn(video, union, heading),
        (*clip.times_s, clip.end_s),
        size=(len(heading) + clip.height + clip.height % 2, heading.shape[1]),
        fps=clip.fps,
    )


def padding_px(clip: Clip) -> dict[str, int]:
    """White columns and rows that an overlay has beside the picture to be of even size."""
    return {"right": clip.width % 2, "bottom": clip.height % 2}


def _heading(clip: Clip, title: str, caption: str) -> np.ndarray:
    """Text above the picture: (h, W, 3), of even height and width."""
    width, font_px = clip.width + clip.width % 2, font_size_px(clip.height)
    parts = [text_block(title, width, font_px + 2), text_block(caption, width, font_px)]
    heading = np.concatenate(parts)
    return np.pad(heading, ((0, len(heading) % 2), (0, 0), (0, 0)), constant_values=255)


def _drawn(video: Video, union: Masklet, heading: np.ndarray) -> Iterator[np.ndarray]:
    for frame, code in zip(VideoFrames(video), union, strict=True):
        height, width = frame.shape[:2]
        picture = draw_masks(frame, decode([code])[0], ORANGE)
        padding = ((0, height % 2), (0, width % 2), (0, 0))
        yield np.concatenate([heading, np.pad(picture, padding, constant_values=255)])
