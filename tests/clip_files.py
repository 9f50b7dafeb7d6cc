"""Clips of every kind, written by the tests themselves."""

from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.stream import Disposition
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
    rate: int = 10,
    metadata: Mapping[str, str] | None = None,
    codec_options: Mapping[str, str] | None = None,
    **options: str,
) -> Path:
    """Writes a video; without times it has 10 frames a second.

    Args:
        path: its ending says the container.
        frames: (H, W, 3) uint8 RGB, or (H, W, 4) with alpha.
        codec: of FFmpeg.
        pix_fmt: of FFmpeg.
        times_s: of each frame.
        rotation: degrees against the clock, and whether mirrored after it: left-right, up-down.
        clock: ticks a second.
        rate: frames a second that the stream states.
        metadata: of the stream.
        codec_options: of the encoder.
        options: of the container.
    """
    times_s = [idx / 10 for idx in range(len(frames))] if times_s is None else times_s
    with av.open(str(path), "w", options=options) as container:
        stream = container.add_stream(codec, rate=rate, options=dict(codec_options or {}))
        stream.metadata.update(metadata or {})
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = pix_fmt
        stream.codec_context.time_base = Fraction(1, clock)
        if rotation is not None:
            stream.set_display_rotation(*rotation)
        for pixels, time_s in zip(frames, times_s, strict=True):
            kind = "rgba" if pixels.shape[-1] == 4 else "rgb24"
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format=kind)
            frame.pts, frame.time_base = round(time_s * clock), Fraction(1, clock)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def write_streams(path: Path, *streams: tuple[np.ndarray, Disposition]) -> Path:
    """Writes several video streams of 10 frames a second into one file."""
    with av.open(str(path), "w") as container:
        for frames, disposition in streams:
            is_cover = bool(disposition & Disposition.attached_pic)
            stream = container.add_stream("png" if is_cover else "libx264", rate=10)
            stream.height, stream.width = frames[0].shape[:2]
            stream.pix_fmt = "rgb24" if is_cover else "yuv420p"
            stream.disposition = disposition
        for (frames, _), stream in zip(streams, container.streams.video, strict=True):
            for idx, pixels in enumerate(frames):
                frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
                frame.pts, frame.time_base = idx, Fraction(1, 10)
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
    return path


def write_hdr(path: Path, colours: np.ndarray, transfer: int) -> Path:
    """Writes one frame of BT.2020, 10 bits, without loss.

    Args:
        path: an mkv.
        colours: (H, W, 3) in [0, 1], R'G'B' as encoded by the transfer function.
        transfer: FFmpeg's code: 16 for PQ, 18 for HLG.
    """
    red, green, blue = np.moveaxis(colours, -1, 0)
    luma = 0.2627 * red + 0.6780 * green + 0.0593 * blue  # ITU-R BT.2020, table 4
    chroma = (blue - luma) / 1.8814, (red - luma) / 1.4746
    planes = [64 + 876 * luma, *(512 + 896 * each for each in chroma)]  # table 5
    height, width = luma.shape
    frame = av.VideoFrame(width, height, "yuv444p10le")
    for plane, values in zip(frame.planes, planes, strict=True):
        rows = np.zeros((height, plane.line_size // 2), np.uint16)
        rows[:, :width] = np.rint(values)
        plane.update(rows.tobytes())
    frame.pts, frame.time_base = 0, Fraction(1, 10)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=10)
        stream.height, stream.width, stream.pix_fmt = height, width, "yuv444p10le"
        for each in (stream.codec_context, frame):
            each.color_trc, each.color_primaries, each.colorspace = transfer, 9, 9
            each.color_range = 1
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def write_images(folder: Path, frames: Sequence[np.ndarray], suffix: str = ".png") -> Path:
    """Writes 0.png, 1.png, ..., 10.png: names that only natural order puts in order."""
    folder.mkdir(parents=True)
    for idx, pixels in enumerate(frames):
        Image.fromarray(pixels).save(folder / f"{idx}{suffix}")
    return folder
