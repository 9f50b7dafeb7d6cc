"""Clips of every kind, written by the tests themselves."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from PIL import Image

CORNERS = ((220, 30, 30), (30, 200, 30), (40, 60, 220), (230, 210, 40))
"""Top left, top right, bottom left, bottom right."""


def make_frames(num_frames: int, size: tuple[int, int] = (48, 64)) -> np.ndarray:
    """(T, H, W, 3): each corner in a colour of its own, and a white block that moves right."""
    height, width = size
    frames = np.zeros((num_frames, *size, 3), np.uint8)
    for corner, colour in enumerate(CORNERS):
        rows = slice(height // 2, None) if corner // 2 else slice(0, height // 2)
        columns = slice(width // 2, None) if corner % 2 else slice(0, width // 2)
        frames[:, rows, columns] = colour
    for idx in range(num_frames):
        left = 2 + idx * (width // 2) // max(1, num_frames)
        frames[idx, height // 3 : 2 * height // 3, left : left + width // 4] = 255
    return frames


def write_video(
    path: Path,
    frames: Sequence[np.ndarray],
    *,
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    times_s: Sequence[float] | None = None,
    rotation: tuple[int, bool, bool] | None = None,
    clock: int = 1000,
    **options: str,
) -> Path:
    """Writes a video; without times it has 10 frames a second.

    Args:
        path: its ending says the container.
        frames: (H, W, 3) uint8 RGB.
        codec: of FFmpeg.
        pix_fmt: of FFmpeg.
        times_s: of each frame.
        rotation: degrees against the clock, and whether mirrored after it: left-right, up-down.
        clock: ticks a second.
        options: of the container.
    """
    times_s = [idx / 10 for idx in range(len(frames))] if times_s is None else times_s
    with av.open(str(path), "w", options=options) as container:
        stream = container.add_stream(codec, rate=10)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = pix_fmt
        stream.codec_context.time_base = Fraction(1, clock)
        if rotation is not None:
            stream.set_display_rotation(*rotation)
        for pixels, time_s in zip(frames, times_s, strict=True):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
            frame.pts, frame.time_base = round(time_s * clock), Fraction(1, clock)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def write_images(folder: Path, frames: Sequence[np.ndarray], suffix: str = ".png") -> Path:
    """Writes 0.png, 1.png, ..., 10.png: names that only natural order puts in order."""
    folder.mkdir(parents=True)
    for idx, pixels in enumerate(frames):
        Image.fromarray(pixels).save(folder / f"{idx}{suffix}")
    return folder
