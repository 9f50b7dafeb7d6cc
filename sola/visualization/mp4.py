"""Write videos that browsers play."""

from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.video.frame import VideoFrame
from numpy.typing import NDArray

# Tick of the stream's clock: all common frame rates are whole numbers of it.
TIME_BASE = Fraction(1, 90_000)
# Lowest frame rate that a stream can state; its frames have times of their own.
SLOWEST = Fraction(1, 1000)
X264 = {"crf": "18", "preset": "veryfast", "bf": "0"}
# FFmpeg's numbers of the colours that browsers assume.
BT709, LIMITED_RANGE = 1, 1


def write_mp4(
    path: Path,
    pictures: Iterable[NDArray[np.uint8]],
    times_s: Sequence[float],
    *,
    size: tuple[int, int],
    fps: float,
) -> None:
    """Write an mp4 (H.264, yuv420p) that shows each picture at its time.

    Args:
        path: the file.
        pictures: (H, W, 3) uint8 RGB each.
        times_s: start of each picture, and the end of the last.
        size: (H, W), both even, as the format requires.
        fps: frame rate that the stream states.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    ticks = _ticks(times_s)
    lengths = dict(zip(ticks, np.diff(ticks).tolist(), strict=False))
    with av.open(str(path), "w", container_options={"movflags": "+faststart"}) as container:
        rate = max(Fraction(fps).limit_denominator(1001), SLOWEST)
        stream = container.add_stream("libx264", rate=rate, options=X264)
        stream.height, stream.width = size
        stream.pix_fmt = "yuv420p"
        context = stream.codec_context
        context.time_base = TIME_BASE
        context.color_primaries = context.color_trc = context.colorspace = BT709
        context.color_range = LIMITED_RANGE

        def encode(frame: VideoFrame | None) -> None:
            for packet in stream.encode(frame):
                assert packet.pts is not None
                packet.duration = lengths[packet.pts]
                container.mux(packet)

        for pixels, start in zip(pictures, ticks, strict=False):
            frame = VideoFrame.from_ndarray(pixels, format="rgb24")
            frame = frame.reformat(format="yuv420p", dst_colorspace="ITU709")
            frame.pts, frame.time_base = start, TIME_BASE
            encode(frame)
        encode(None)


def _ticks(times_s: Sequence[float]) -> list[int]:
    """The times on the clock, each at least a tick after the one before."""
    ticks: list[int] = []
    for time_s in times_s:
        tick = round(time_s / TIME_BASE)
        ticks.append(max(tick, ticks[-1] + 1) if ticks else tick)
    return ticks
