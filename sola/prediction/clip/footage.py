"""Frames of a video file, decoded one after the other by FFmpeg's libraries (PyAV)."""

from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import av
import numpy as np
from av.container import InputContainer
from av.packet import Packet
from av.stream import Disposition
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from PIL import Image

from sola.datasets.frames import MAX_FRAME_PIXELS, check_pixels
from sola.errors import UserError
from sola.prediction.clip.frame import ClipFrame
from sola.prediction.clip.images import to_rgb

GET_AGAIN = "Get the file again, or convert it: ffmpeg -i <file> clip.mp4"
LOCAL_ONLY = {"protocol_whitelist": "file"}
"""A playlist could name other machines."""
FALLBACK_RATE = 25
"""Frames a second of a stream that says nothing of time."""
SLACK_S = 0.1
SLACK = 0.02
"""A container may announce this share of its length, and SLACK_S, more than it holds."""
GIF_TRAILER = b"\x3b"


def read_footage(path: Path) -> Iterator[ClipFrame]:
    """Frames of a video as it is shown: turned, in the order of time, each with its own time.

    Raises:
        UserError: if there is no video in it, or it is damaged, cut off, too large, or changes
            its size.
    """
    first: ClipFrame | None = None
    with _told(path), _open(path) as container:
        stream = _video_stream(path, container)
        for frame in _timed(_decode(path, container, stream), stream):
            first = first or frame
            _check_size(path, frame, first)
            yield frame
    if first is None:
        raise UserError(f"{path}: not a single frame can be read from this video. {GET_AGAIN}")


@contextmanager
def _told(path: Path) -> Iterator[None]:
    try:
        yield
    except (av.FFmpegError, UnicodeDecodeError) as error:  # the latter from names in the file
        reason = error.strerror if isinstance(error, av.FFmpegError) else "unreadable names"
        raise UserError(
            f"{path}: damaged, cut off, or no video ({reason}); needed is a video file "
            f"(mp4, mov, webm, gif, ...) or a folder of images. {GET_AGAIN}"
        ) from error


def _open(path: Path) -> InputContainer:
    # absolute: a name with a colon would be taken for a protocol
    return av.open(str(path.absolute()), container_options=LOCAL_ONLY, metadata_errors="replace")


def _video_stream(path: Path, container: InputContainer) -> VideoStream:
    """The stream to show; pictures that are attached to music are none."""
    streams = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]
    if not streams:
        kinds = ", ".join(stream.type for stream in container.streams) or "none"
        raise UserError(
            f"{path}: no video stream in it (streams: {kinds}); it is cut off or no video. "
            f"{GET_AGAIN}"
        )
    stream = streams[0]
    if cast(Any, stream.codec_context) is None:
        raise UserError(f"{path}: its video is in a code that nothing here reads. {GET_AGAIN}")
    check_pixels(path, stream.codec_context.width, stream.codec_context.height)
    # a frame further on may be larger than the first
    stream.codec_context.options = {"max_pixels": str(MAX_FRAME_PIXELS)}
    stream.thread_type = "AUTO"
    return stream


def _decode(path: Path, container: InputContainer, stream: VideoStream) -> Iterator[VideoFrame]:
    """All frames; refuses a file that breaks off before the end that it announces."""
    end_s, gap_s = Fraction(0), Fraction(0)
    for packet in container.demux():
        if packet.is_corrupt:
            raise UserError(f"{path}: cut off after {float(end_s):.2f} s. {GET_AGAIN}")
        packet_end_s = _end_s(packet)
        gap_s = max(gap_s, packet_end_s - end_s) if end_s else gap_s
        end_s = max(end_s, packet_end_s)
        if packet.stream.index == stream.index:  # not stream_index: a flushing packet has none
            yield from cast(list[VideoFrame], packet.decode())
    # from 0 on: some containers count from there, some from the first frame
    held_s = end_s - Fraction(min(container.start_time or 0, 0), av.time_base)
    announced_s = Fraction(container.duration or 0, av.time_base)
    is_cut = announced_s - held_s > gap_s + SLACK_S + SLACK * announced_s
    if is_cut or (container.format.name == "gif" and not _ends_as_gif(path)):
        raise UserError(
            f"{path}: cut off or damaged; it announces {float(announced_s):.2f} s and holds "
            f"{float(held_s):.2f}. {GET_AGAIN}"
        )


def _end_s(packet: Packet) -> Fraction:
    if packet.pts is None:
        return Fraction(0)
    return (packet.pts + (packet.duration or 0)) * packet.time_base


def _ends_as_gif(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 1024))
        return file.read().rstrip(b"\0").endswith(GIF_TRAILER)


def _timed(frames: Iterator[VideoFrame], stream: VideoStream) -> Iterator[ClipFrame]:
    """Frames with times from 0 on, each later than the one before."""
    step_s = 1 / Fraction(stream.average_rate or stream.guessed_rate or FALLBACK_RATE)
    origin_s: Fraction | None = None
    last_s = -step_s
    for frame in frames:
        start_s = last_s + step_s
        if frame.pts is not None and frame.time_base is not None:
            origin_s = frame.pts * frame.time_base if origin_s is None else origin_s
            stamped_s = frame.pts * frame.time_base - origin_s
            start_s = stamped_s if stamped_s > last_s else start_s
        length_s = max(frame.duration or 0, 0) * (frame.time_base or 0) or step_s
        yield ClipFrame(_upright(frame), float(start_s), float(start_s + length_s))
        last_s = start_s


def _upright(frame: VideoFrame) -> np.ndarray:
    """(H, W, 3) uint8 RGB, turned and mirrored as the frame's display matrix says."""
    if any(component.is_alpha for component in frame.format.components):
        pixels = to_rgb(Image.fromarray(frame.to_ndarray(format="rgba")))
    else:
        pixels = frame.to_ndarray(format="rgb24")
    matrix: Any = frame.side_data.get("DISPLAYMATRIX")
    if matrix is None:
        return np.ascontiguousarray(pixels)
    # columns and rows of the picture as it is shown: x' = a x + c y, y' = b x + d y
    a, b, _, c, d, *_ = np.frombuffer(bytes(matrix), np.int32).tolist()
    if abs(b) > abs(a):
        pixels, a, d = pixels.transpose(1, 0, 2), c, b
    pixels = pixels[:, ::-1] if a < 0 else pixels
    pixels = pixels[::-1] if d < 0 else pixels
    return np.ascontiguousarray(pixels)


def _check_size(path: Path, frame: ClipFrame, first: ClipFrame) -> None:
    found, needed = frame.pixels.shape, first.pixels.shape
    if found != needed:
        raise UserError(
            f"{path}: at {frame.start_s:.2f} s the frames become {found[1]} x {found[0]} px, "
            f"before they are {needed[1]} x {needed[0]}; all frames of a clip must have one size. "
            "Convert it: ffmpeg -i <file> clip.mp4"
        )
