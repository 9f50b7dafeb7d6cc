"""Write mp4 files for browsers, with text above the pictures."""

from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from sola.visualization import overlays

# Tick of the stream's clock; a frame of any common frame rate lasts a whole number of ticks.
TIME_BASE = Fraction(1, 90_000)
# Lowest frame rate that a stream can state; frames have their own times anyway.
SLOWEST = Fraction(1, 1000)
X264 = {"crf": "18", "preset": "veryfast", "bf": "0"}
# FFmpeg's codes of the colour space and range that browsers assume.
BT709, LIMITED_RANGE = 1, 1


def write_mp4(
    path: Path,
    pictures: Iterable[NDArray[np.uint8]],
    times_s: Sequence[float],
    *,
    size: tuple[int, int],
    fps: float,
    heading: Sequence[str | NDArray[np.uint8]],
) -> None:
    """Write an mp4 (H.264, yuv420p) that shows each picture at its time, below a heading.

    The format requires even sizes: a picture of odd width or height gets one white column on the
    right or one white row at the bottom.

    Args:
        path: path of the mp4.
        pictures: (H, W, 3) uint8 RGB each.
        times_s: start of each picture, then the end of the last, in seconds.
        size: (H, W) of the pictures.
        fps: frame rate that the stream states.
        heading: above the picture: texts, each starting on a new line, and (h, W) pictures.
    """
    height, width = size[0] + size[0] % 2, size[1] + size[1] % 2
    font_px = overlays.font_size_px(size[0])
    parts = [
        overlays.text_block(part, width, font_px) if isinstance(part, str) else part
        for part in heading
    ]
    words = [_pad_to_even(part) for part in parts]
    path.parent.mkdir(parents=True, exist_ok=True)
    ticks = _ticks(times_s)
    lengths = dict(zip(ticks, np.diff(ticks).tolist(), strict=False))
    with av.open(str(path), "w", container_options={"movflags": "+faststart"}) as container:
        rate = max(Fraction(fps).limit_denominator(1001), SLOWEST)
        stream = container.add_stream("libx264", rate=rate, options=X264)
        stream.height, stream.width = sum(map(len, words)) + height, width
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
            page = np.concatenate([*words, _pad_to_even(pixels)])
            frame = VideoFrame.from_ndarray(page, format="rgb24")
            frame = frame.reformat(format="yuv420p", dst_colorspace="ITU709")
            frame.pts, frame.time_base = start, TIME_BASE
            encode(frame)
        encode(None)


def _pad_to_even(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    height, width = picture.shape[:2]
    return np.pad(picture, ((0, height % 2), (0, width % 2), (0, 0)), constant_values=255)


def _ticks(times_s: Sequence[float]) -> list[int]:
    """Return the times in ticks of the stream's clock, strictly increasing."""
    ticks: list[int] = []
    for time_s in times_s:
        tick = round(time_s / TIME_BASE)
        ticks.append(max(tick, ticks[-1] + 1) if ticks else tick)
    return ticks
