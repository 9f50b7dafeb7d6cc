"""Overlay videos: an answer drawn over the clip, for a browser to play."""

from collections.abc import Iterator
from fractions import Fraction
from itertools import chain
from pathlib import Path

import av
import numpy as np
from av.video.frame import VideoFrame

from sola.clip.extraction import Clip
from sola.datasets.frames import VideoFrames
from sola.masks import decode
from sola.reporting.overlays import ORANGE, draw_masks, font_size_px, text_block
from sola.types import Masklet, Video

TIME_BASE = Fraction(1, 90_000)
"""The clock of broadcast video: all common frame rates are whole numbers of its ticks."""
SLOWEST = Fraction(1, 1000)
"""Frames a second that a stream may say; its frames have times of their own."""
X264 = {"crf": "18", "preset": "veryfast", "bf": "0"}
BT709 = 1
"""FFmpeg's number of HDTV's colours, in which browsers take untagged video to be."""
LIMITED_RANGE = 1


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
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w", container_options={"movflags": "+faststart"}) as container:
        rate = max(Fraction(clip.fps).limit_denominator(1001), SLOWEST)
        stream = container.add_stream("libx264", rate=rate, options=X264)
        stream.width = heading.shape[1]
        stream.height = len(heading) + clip.height + clip.height % 2
        stream.pix_fmt = "yuv420p"
        context = stream.codec_context
        context.time_base = TIME_BASE
        context.color_primaries = context.color_trc = context.colorspace = BT709
        context.color_range = LIMITED_RANGE
        ticks = _ticks(clip)
        lengths = dict(zip(ticks, np.diff(ticks).tolist(), strict=False))
        pictures = zip(_drawn(video, union, heading), ticks, strict=False)
        for frame in chain((_encodable(*picture) for picture in pictures), [None]):
            for packet in stream.encode(frame):
                assert packet.pts is not None
                packet.duration = lengths[packet.pts]
                container.mux(packet)


def padding_px(clip: Clip) -> dict[str, int]:
    """White columns and rows that an overlay has beside the picture to be of even size."""
    return {"right": clip.width % 2, "bottom": clip.height % 2}


def _ticks(clip: Clip) -> list[int]:
    """Start of each frame and end of the last, each after the one before."""
    ticks: list[int] = []
    for time_s in (*clip.times_s, clip.end_s):
        tick = round(time_s / TIME_BASE)
        ticks.append(max(tick, ticks[-1] + 1) if ticks else tick)
    return ticks


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


def _encodable(pixels: np.ndarray, start: int) -> VideoFrame:
    frame = VideoFrame.from_ndarray(pixels, format="rgb24").reformat(
        format="yuv420p", dst_colorspace="ITU709"
    )
    frame.pts, frame.time_base = start, TIME_BASE
    return frame
