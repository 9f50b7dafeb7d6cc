"""Videos for a browser to play, from pictures and their times."""

from collections.abc import Iterable, Sequence
from fractions import Fraction
from itertools import chain
from pathlib import Path

import av
import numpy as np
from av.video.frame import VideoFrame
from numpy.typing import NDArray

TIME_BASE = Fraction(1, 90_000)
"""The clock of broadcast video: all common frame rates are whole numbers of its ticks."""
SLOWEST = Fraction(1, 1000)
"""Frames a second that a stream may say; its frames have times of their own."""
X264 = {"crf": "18", "preset": "veryfast", "bf": "0"}
BT709 = 1
"""FFmpeg's number of HDTV's colours, in which browsers take untagged video to be."""
LIMITED_RANGE = 1


def write_mp4(
    path: Path,
    pictures: Iterable[NDArray[np.uint8]],
    times_s: Sequence[float],
    *,
    size: tuple[int, int],
    fps: float,
) -> None:
    """Writes an mp4 (H.264, yuv420p) that shows each picture when its time comes.

    Args:
        path: of the mp4.
        pictures: (H, W, 3) uint8 RGB each.
        times_s: start of each picture, and the end of the last.
        size: (H, W), both even, as the format needs them.
        fps: what the stream says of itself.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w", container_options={"movflags": "+faststart"}) as container:
        rate = max(Fraction(fps).limit_denominator(1001), SLOWEST)
        stream = container.add_stream("libx264", rate=rate, options=X264)
        stream.height, stream.width = size
        stream.pix_fmt = "yuv420p"
        context = stream.codec_context
        context.time_base = TIME_BASE
        context.color_primaries = context.color_trc = context.colorspace = BT709
        context.color_range = LIMITED_RANGE
        ticks = _ticks(times_s)
        lengths = dict(zip(ticks, np.diff(ticks).tolist(), strict=False))
        timed = zip(pictures, ticks, strict=False)
        for frame in chain((_encodable(*each) for each in timed), [None]):
            for packet in stream.encode(frame):
                assert packet.pts is not None
                packet.duration = lengths[packet.pts]
                container.mux(packet)


def _ticks(times_s: Sequence[float]) -> list[int]:
    """The times on the clock, each after the one before."""
    ticks: list[int] = []
    for time_s in times_s:
        tick = round(time_s / TIME_BASE)
        ticks.append(max(tick, ticks[-1] + 1) if ticks else tick)
    return ticks


def _encodable(pixels: NDArray[np.uint8], start: int) -> VideoFrame:
    frame = VideoFrame.from_ndarray(pixels, format="rgb24").reformat(
        format="yuv420p", dst_colorspace="ITU709"
    )
    frame.pts, frame.time_base = start, TIME_BASE
    return frame
