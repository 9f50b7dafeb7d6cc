"""Decode the frames of a clip as a viewer shows them (PyAV, Pillow)."""

import functools
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import av
import numpy as np
from av.filter import Graph
from av.stream import Disposition
from numpy.typing import NDArray
from PIL import Image, ImageOps

from sola.datasets.frames import MAX_FRAME_PIXELS, check_pixels, open_image
from sola.errors import UserError

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff")
IMAGE_RATE = 10  # frames per second assumed for a folder of images
DEEP_GREY = ("I;16", "I;16L", "I;16B", "I;16N")  # 16-bit modes, which Pillow would clip at 255
UNSCALED = ("I", "F")  # Pillow's modes of 32-bit pixels, whose white is undefined
GET_AGAIN = "Get the file again, or convert it: ffmpeg -i <file> clip.mp4"
LOCAL_ONLY = {"protocol_whitelist": "file"}  # a playlist could name other machines
FALLBACK_RATE = 25  # frames per second of a stream that states no frame rate
# a container may announce this share of its length plus SLACK_S seconds more than it holds
SLACK, SLACK_S = 0.02, 0.1
# a stream below these shares of the longest and the largest one is a thumbnail
MIN_LENGTH, MIN_PIXELS = 0.5, 0.2
NOT_SHOWN = Disposition.attached_pic | Disposition.timed_thumbnails
ALPHA_DECODERS = {"vp8": "libvpx", "vp9": "libvpx-vp9"}  # FFmpeg's own decoders drop the alpha
HDR_TRANSFERS = (16, 18)  # FFmpeg's codes of PQ (smpte2084) and HLG (arib-std-b67)
TONE_MAPPING = "out_transfer=bt709:out_primaries=bt709:out_color_matrix=bt709:intent=perceptual"


@dataclass(frozen=True)
class ClipFrame:
    """A frame and the time at which it is shown."""

    read: Callable[[], NDArray[np.uint8]]
    """Convert it to (H, W, 3) uint8 RGB; it can be skipped."""
    start_s: float
    """When it appears, in seconds after the first frame."""
    end_s: float
    """When it disappears, likewise."""
    size: tuple[int, int] | None = None
    """(H, W); None: known when it is read."""
    file: str = ""
    """Name of its image; "" in a video."""


def find_footage(path: Path) -> list[Path]:
    """Return the file of a clip, or its images in natural order (2 before 10).

    Hidden files are skipped.

    Raises:
        UserError: if nothing is found, two images differ only in their file endings, or a name is
            not UTF-8.
    """
    _check_name(path)
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise UserError(f"{path}: no such file or folder. Correct video=...")
    found = [each for each in path.iterdir() if _is_image(each) and each.name[0] != "."]
    if not found:
        raise UserError(f"{path}: no images in this folder, expected {', '.join(SUFFIXES)} files.")
    for each in found:
        _check_name(each)
    stem, count = Counter(each.stem for each in found).most_common(1)[0]
    if count > 1:
        raise UserError(f"{path}: {count} images are called {stem}. Keep one of each frame.")
    return sorted(found, key=_natural_order)


def read_footage(files: Sequence[Path]) -> Iterator[ClipFrame]:
    """Yield the frames of a clip in the order of time.

    Frames of a video are rotated as a player shows them, and have their own times.

    Args:
        files: see ``find_footage``.

    Raises:
        UserError: if a file is damaged, cut off, too large, or has no frames.
    """
    if not _is_image(files[0]):
        yield from _read_video(files[0])
        return
    for idx, path in enumerate(files):
        start_s, end_s = idx / IMAGE_RATE, (idx + 1) / IMAGE_RATE
        yield ClipFrame(functools.partial(_read_image, path), start_s, end_s, file=path.name)


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES and path.is_file()


def _check_name(path: Path) -> None:
    """Raise UserError if a path is not UTF-8, which logs and records could not hold."""
    if any("\ud800" <= letter <= "\udfff" for letter in str(path)):
        raise UserError(f"{str(path)!r}: the name is not UTF-8. Rename it.")


def _natural_order(path: Path) -> tuple[list[tuple[int, str]], str]:
    """Return a sort key that orders numbers in names by value."""
    parts = re.split(r"(\d+)", path.name.lower())
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts], path.name


def _read_image(path: Path) -> np.ndarray:
    """Return (H, W, 3) uint8 RGB, rotated by its EXIF orientation, with 16 bits scaled to 8."""
    with open_image(path) as image:
        num_images = getattr(image, "n_frames", 1)
        is_one = num_images == 1 or image.format == "MPO"  # a phone's JPEG with a preview inside
        if image.mode in UNSCALED or not is_one:
            raise UserError(
                f"{path}: expected one image of 8 or 16 bits, got {num_images} of mode "
                f"{image.mode}. Save it as 8-bit PNG; make a video of several images."
            )
        return _to_rgb(ImageOps.exif_transpose(image))


def _to_rgb(image: Image.Image) -> np.ndarray:
    """Convert an image of any mode to (H, W, 3) uint8 RGB, transparent parts on white."""
    if image.mode in DEEP_GREY:
        grey = np.rint(np.asarray(image).astype(np.float64) / 257).astype(np.uint8)
        return np.repeat(grey[..., None], 3, axis=2)
    if image.has_transparency_data:
        paper = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(paper, image.convert("RGBA"))
    return np.array(image.convert("RGB"))


def _read_video(path: Path) -> Iterator[ClipFrame]:
    # absolute, as FFmpeg would take a name with a colon for a protocol
    where, options = str(path.absolute()), LOCAL_ONLY
    try:
        with av.open(where, container_options=options, metadata_errors="replace") as container:
            stream = _shown_stream(path, container)
            yield from _timed(path, _decode(path, container, stream), stream)
    except (av.FFmpegError, UnicodeDecodeError) as error:  # the latter: of names in the file
        reason = error.strerror if isinstance(error, av.FFmpegError) else "unreadable names"
        raise UserError(f"{path}: damaged, cut off, or no video ({reason}). {GET_AGAIN}") from error


def _shown_stream(path: Path, container: Any) -> av.VideoStream:
    """Return the video stream that players show: the only default one, else the largest.

    Cover art and thumbnails do not count: streams marked as such, or much shorter or smaller than
    another one. FFmpeg may mark a thumbnail as default because it comes first.
    """
    streams = [s for s in container.streams.video if not s.disposition & NOT_SHOWN]
    for measure, share in ((_length, MIN_LENGTH), (_num_pixels, MIN_PIXELS)):
        most = max(map(measure, streams), default=0)
        streams = [stream for stream in streams if measure(stream) >= share * most]
    defaults = [stream for stream in streams if stream.disposition & Disposition.default]
    shown = defaults if len(defaults) == 1 else sorted(streams, key=_num_pixels, reverse=True)
    if not shown or shown[0].codec_context is None:
        kinds = ", ".join(stream.type for stream in container.streams) or "none"
        raise UserError(f"{path}: no video stream to decode (streams: {kinds}). {GET_AGAIN}")
    stream: av.VideoStream = shown[0]
    check_pixels(path, stream.codec_context.width, stream.codec_context.height)
    return stream


def _length(stream: Any) -> float:
    """Return the length in seconds; that of the file if the stream does not state its own."""
    if stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    return (stream.container.duration or 0) / av.time_base


def _num_pixels(stream: Any) -> float:
    """Return the pixels of a frame, ``MAX_FRAME_PIXELS`` if the codec is unknown."""
    return stream.width * stream.height if stream.codec_context else MAX_FRAME_PIXELS


def _decoder(path: Path, stream: av.VideoStream) -> Any:
    """Return a decoder that keeps the alpha channel of VP8 and VP9, stored as a second stream."""
    decoder: Any = stream.codec_context
    tags = {key.lower(): value for key, value in stream.metadata.items()}
    if tags.get("alpha_mode") == "1":
        name = decoder.name
        if name not in ALPHA_DECODERS:
            raise UserError(
                f"{path}: transparent parts of {name} cannot be decoded. Convert it without them: "
                f"ffmpeg -i {path} -pix_fmt yuv420p opaque.mp4"
            )
        decoder = av.CodecContext.create(ALPHA_DECODERS[name], "r")
    # a later frame may be larger than the first
    decoder.options = {"max_pixels": str(MAX_FRAME_PIXELS)}
    decoder.thread_type = "AUTO"
    return decoder


def _decode(path: Path, container: Any, stream: av.VideoStream) -> Iterator[av.VideoFrame]:
    """Yield all frames; raise if the file is shorter than it announces."""
    decoder, end_s, gap_s = _decoder(path, stream), Fraction(0), Fraction(0)
    for packet in container.demux():
        if packet.is_corrupt:
            raise UserError(f"{path}: cut off after {float(end_s):.2f} s. {GET_AGAIN}")
        if packet.pts is not None:
            packet_end_s = (packet.pts + (packet.duration or 0)) * packet.time_base
            gap_s = max(gap_s, packet_end_s - end_s) if end_s else gap_s
            end_s = max(end_s, packet_end_s)
        if packet.stream.index == stream.index:  # not stream_index: a flushing packet has none
            yield from decoder.decode(packet)
    # some containers count their length from 0, some from the first frame
    held_s = end_s - Fraction(min(container.start_time or 0, 0), av.time_base)
    announced_s = Fraction(container.duration or 0, av.time_base)
    is_cut = announced_s - held_s > gap_s + SLACK_S + SLACK * announced_s
    if container.format.name == "gif":
        is_cut |= not path.read_bytes()[-1024:].rstrip(b"\0").endswith(b";")
    if is_cut:
        raise UserError(
            f"{path}: damaged or cut off: it announces {float(announced_s):.2f} s and holds "
            f"{float(held_s):.2f} s. {GET_AGAIN}"
        )


def _timed(
    path: Path, frames: Iterator[av.VideoFrame], stream: av.VideoStream
) -> Iterator[ClipFrame]:
    """Yield frames with strictly increasing times, which start at 0."""
    step_s = 1 / Fraction(stream.average_rate or stream.guessed_rate or FALLBACK_RATE)
    origin_s: Fraction | None = None
    last_s = -step_s
    for frame in frames:
        start_s, clock_s = last_s + step_s, frame.time_base or Fraction(0)
        if frame.pts is not None and clock_s:
            origin_s = frame.pts * clock_s if origin_s is None else origin_s
            stamped_s = frame.pts * clock_s - origin_s
            start_s = stamped_s if stamped_s > last_s else start_s
        length_s = max(frame.duration or 0, 0) * clock_s or step_s
        read = functools.partial(_upright, path, frame)
        yield ClipFrame(read, float(start_s), float(start_s + length_s), _size(frame))
        last_s = start_s


def _size(frame: av.VideoFrame) -> tuple[int, int]:
    """Return the (H, W) of a frame as it is shown."""
    turn = _turn(frame)
    is_turned = turn is not None and abs(turn[0][1]) > abs(turn[0][0])
    return (frame.width, frame.height) if is_turned else (frame.height, frame.width)


def _turn(frame: av.VideoFrame) -> NDArray[np.int32] | None:
    """Return [[a, b], [c, d]] of a frame's display matrix; None if it is shown as it is.

    Columns and rows of the picture as shown are x' = a x + c y, y' = b x + d y.
    """
    matrix = cast(Any, frame.side_data.get("DISPLAYMATRIX"))
    return None if matrix is None else np.frombuffer(bytes(matrix), np.int32).reshape(3, 3)[:2, :2]


def _upright(path: Path, frame: av.VideoFrame) -> NDArray[np.uint8]:
    """Return (H, W, 3) uint8 RGB, rotated and mirrored by the frame's display matrix.

    Raises:
        UserError: if FFmpeg cannot convert the colours.
    """
    try:
        pixels = _to_pixels(frame)
    except av.FFmpegError as error:
        raise UserError(f"{path}: unknown colours ({error.strerror}). {GET_AGAIN}") from error
    turn = _turn(frame)
    if turn is not None:
        (a, b), (c, d) = turn.tolist()
        if abs(b) > abs(a):
            pixels, a, d = pixels.transpose(1, 0, 2), c, b
        pixels = pixels[:: -1 if d < 0 else 1, :: -1 if a < 0 else 1]
    return np.ascontiguousarray(pixels)


def _to_pixels(frame: av.VideoFrame) -> NDArray[np.uint8]:
    """Return (H, W, 3) uint8 RGB of standard range, transparent parts on white."""
    if frame.color_trc in HDR_TRANSFERS:
        frame = _tone_mapped(frame)
    elif any(component.is_alpha for component in frame.format.components):
        return _to_rgb(Image.fromarray(frame.to_ndarray(format="rgba")))
    return cast(NDArray[np.uint8], frame.to_ndarray(format="rgb24"))


def _tone_mapped(frame: av.VideoFrame) -> av.VideoFrame:
    """Return a frame of high dynamic range as an RGB frame of standard range."""
    colours = (frame.color_trc, frame.color_primaries, frame.colorspace, frame.color_range)
    graph = _tone_mapper(frame.width, frame.height, frame.format.name, colours)
    graph.push(frame)
    return cast(av.VideoFrame, graph.pull())


@functools.lru_cache(maxsize=1)  # it takes seconds to start
def _tone_mapper(width: int, height: int, pix_fmt: str, colours: tuple[int, ...]) -> Graph:
    """Return a filter graph for frames of one kind; frames of other colours get a new one."""
    graph, layout = Graph(), av.VideoFormat(pix_fmt, width, height)
    clock = Fraction(1, 1000)  # required, and without effect
    source = graph.add_buffer(width=width, height=height, format=layout, time_base=clock)
    steps = [source, graph.add("scale", TONE_MAPPING), graph.add("format", "rgb24")]
    graph.link_nodes(*steps, graph.add("buffersink")).configure()
    return graph
