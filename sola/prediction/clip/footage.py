"""Read a clip's frames as a viewer shows them (PyAV, Pillow), and cache them on disk."""

import dataclasses
import hashlib
import json
import logging
import re
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple, cast

import av
import cv2
import numpy as np
from av.stream import Disposition
from PIL import Image, ImageOps

from sola.datasets.frames import MAX_FRAME_PIXELS, check_pixels, open_image
from sola.errors import UserError
from sola.files import sha256_of_file, write_json
from sola.types import Video

log = logging.getLogger(__name__)

CLIP_VERSION = 1  # version of how frames are read; a new one invalidates all cached clips
CLIP_FILE, FRAMES_DIR = "clip.json", "frames"
FASTEST_PNG = (cv2.IMWRITE_PNG_COMPRESSION, 1)
LOG_EVERY = 500  # frames; their total is only known at the end
SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff")
IMAGE_RATE = 10  # frames per second assumed for a folder of images
DEEP_GREY = ("I;16", "I;16L", "I;16B", "I;16N")  # 16-bit modes, which Pillow would clip at 255
UNSCALED = ("I", "F")  # Pillow's modes of 32-bit pixels, whose white is undefined
GET_AGAIN = "Get the file again, or convert it: ffmpeg -i <file> clip.mp4"
LOCAL_ONLY = {"protocol_whitelist": "file"}  # a playlist could name other machines
FALLBACK_RATE = 25  # frames per second of a stream that states no frame rate
# a container may announce this share of its length plus SLACK_S seconds more than it holds
SLACK, SLACK_S = 0.02, 0.1


class ClipFrame(NamedTuple):
    """A frame and the time at which it is shown.

    Attributes:
        pixels: (H, W, 3) uint8 RGB.
        start_s: when it appears, in seconds after the first frame.
        end_s: when it disappears, likewise.
        file: name of its image; "" in a video.
    """

    pixels: np.ndarray
    start_s: float
    end_s: float
    file: str = ""


@dataclasses.dataclass(frozen=True)
class Clip:
    """Description of a clip whose frames are on disk."""

    clip_id: str
    source: str
    """File or folder that the clip was read from."""
    width: int
    height: int
    """Size of every frame, after rotation."""
    num_frames: int
    fps: float
    """Average number of frames per second."""
    times_s: Sequence[float]
    """When each of the T frames appears; the first appears at 0."""
    end_s: float
    """When the last frame disappears."""
    files: Sequence[str]
    """T names of images; empty for a video."""
    frames_sha256: str
    """SHA-256 of all pixels."""

    def video(self, clips_dir: Path) -> Video:
        """Return the T lossless frames."""
        folder = clips_dir / self.clip_id / FRAMES_DIR
        return Video(self.clip_id, tuple(folder / _name(idx) for idx in range(self.num_frames)))


def open_clip(path: Path, clips_dir: Path) -> Clip:
    """Open a clip, and write its frames to disk unless an earlier call did.

    Args:
        path: a video file, an image, or a folder of images.
        clips_dir: holds one folder per clip, which appears once it is complete.

    Raises:
        UserError: if the clip is missing, empty or unreadable, or its frames differ in size.
    """
    files = find_footage(path)
    digest = hashlib.sha256(f"version {CLIP_VERSION}\n".encode())
    for each in files:
        digest.update(bytes.fromhex(sha256_of_file(each)) + f"{each.name}\n".encode())
    stem = path.resolve().name if path.is_dir() else path.stem
    title = re.sub(r"[^0-9A-Za-z_]+", "_", stem)[:40].strip("_") or "clip"
    folder = clips_dir / f"{title}-{digest.hexdigest()[:12]}"
    if not folder.is_dir():
        log.info("%s: reading its frames", path)
        _extract(path, files, folder)
    content = json.loads((folder / CLIP_FILE).read_text())
    clip = Clip(**{**content, "source": str(path)})
    size = f"{clip.width} x {clip.height} px"
    log.info("%s: %d frames of %s, %.2f s", folder, clip.num_frames, size, clip.end_s)
    return clip


def find_footage(path: Path) -> list[Path]:
    """Return the file of a clip, or its images in natural order (2 before 10).

    Hidden files are skipped.

    Raises:
        UserError: if nothing is found, or two images differ only in their file endings.
    """
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise UserError(f"{path}: no such file or folder. Correct video=...")
    found = [each for each in path.iterdir() if _is_image(each) and each.name[0] != "."]
    if not found:
        raise UserError(f"{path}: no images in this folder, expected {', '.join(SUFFIXES)} files.")
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
        yield ClipFrame(_read_image(path), idx / IMAGE_RATE, (idx + 1) / IMAGE_RATE, path.name)


def _extract(path: Path, files: Sequence[Path], folder: Path) -> None:
    """Write the folder of a clip atomically: it is complete or absent."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    try:
        with tempfile.TemporaryDirectory(".part", f"{folder.name}.", folder.parent) as parent:
            unfinished = Path(parent, folder.name)
            (unfinished / FRAMES_DIR).mkdir(parents=True)
            clip = _write_frames(path, files, folder.name, unfinished / FRAMES_DIR)
            write_json(unfinished / CLIP_FILE, dataclasses.asdict(clip))
            if not folder.is_dir():  # else another process has written the same folder
                unfinished.rename(folder)
    except OSError as error:
        error.filename = error.filename or str(folder)  # a full disk then gives a one-line message
        raise


def _write_frames(path: Path, files: Sequence[Path], clip_id: str, frames_dir: Path) -> Clip:
    """Write one frame at a time, as a clip may not fit into memory."""
    digest, end_s, height, width = hashlib.sha256(), 0.0, 0, 0
    times_s: list[float] = []
    for frame in read_footage(files):
        size = frame.pixels.shape[:2]
        height, width = (height, width) if times_s else size
        if size != (height, width):
            where = frame.file or f"at {frame.start_s:.2f} s"
            raise UserError(
                f"{path}: {where}, the frame has {size[1]} x {size[0]} px, the first one has "
                f"{width} x {height}. Scale all frames to one size."
            )
        digest.update(frame.pixels.data)
        png = cv2.imencode(".png", frame.pixels[..., ::-1], FASTEST_PNG)[1]
        (frames_dir / _name(len(times_s))).write_bytes(png.tobytes())
        times_s.append(frame.start_s)
        end_s = frame.end_s
        if len(times_s) % LOG_EVERY == 0:
            log.info("%s: %d frames so far", path, len(times_s))
    if not times_s:
        raise UserError(f"{path}: no frame can be read. Get the file again.")
    digest.update(f"{height} x {width}".encode())
    return Clip(
        clip_id=clip_id,
        source=str(path),
        width=width,
        height=height,
        num_frames=len(times_s),
        fps=len(times_s) / end_s,
        times_s=times_s,
        end_s=end_s,
        files=[each.name for each in files] if frame.file else [],
        frames_sha256=digest.hexdigest(),
    )


def _name(frame_idx: int) -> str:
    return f"{frame_idx:05d}.png"


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES and path.is_file()


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
            stream = _video_stream(path, container)
            yield from _timed(_decode(path, container, stream), stream)
    except (av.FFmpegError, UnicodeDecodeError) as error:  # the latter: of names in the file
        reason = error.strerror if isinstance(error, av.FFmpegError) else "unreadable names"
        raise UserError(f"{path}: damaged, cut off, or no video ({reason}). {GET_AGAIN}") from error


def _video_stream(path: Path, container: Any) -> av.VideoStream:
    """Return the first video stream; cover art of music does not count."""
    streams = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]
    if not streams or streams[0].codec_context is None:
        kinds = ", ".join(stream.type for stream in container.streams) or "none"
        raise UserError(f"{path}: no video stream to decode (streams: {kinds}). {GET_AGAIN}")
    stream: av.VideoStream = streams[0]
    check_pixels(path, stream.codec_context.width, stream.codec_context.height)
    # a later frame may be larger than the first
    stream.codec_context.options = {"max_pixels": str(MAX_FRAME_PIXELS)}
    stream.thread_type = "AUTO"
    return stream


def _decode(path: Path, container: Any, stream: av.VideoStream) -> Iterator[av.VideoFrame]:
    """Yield all frames; raise if the file is shorter than it announces."""
    end_s, gap_s = Fraction(0), Fraction(0)
    for packet in container.demux():
        if packet.is_corrupt:
            raise UserError(f"{path}: cut off after {float(end_s):.2f} s. {GET_AGAIN}")
        if packet.pts is not None:
            packet_end_s = (packet.pts + (packet.duration or 0)) * packet.time_base
            gap_s = max(gap_s, packet_end_s - end_s) if end_s else gap_s
            end_s = max(end_s, packet_end_s)
        if packet.stream.index == stream.index:  # not stream_index: a flushing packet has none
            yield from packet.decode()
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


def _timed(frames: Iterator[av.VideoFrame], stream: av.VideoStream) -> Iterator[ClipFrame]:
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
        yield ClipFrame(_upright(frame), float(start_s), float(start_s + length_s))
        last_s = start_s


def _upright(frame: av.VideoFrame) -> np.ndarray:
    """Return (H, W, 3) uint8 RGB, rotated and mirrored by the frame's display matrix."""
    if any(component.is_alpha for component in frame.format.components):
        pixels = _to_rgb(Image.fromarray(frame.to_ndarray(format="rgba")))
    else:
        pixels = frame.to_ndarray(format="rgb24")
    matrix = cast(Any, frame.side_data.get("DISPLAYMATRIX"))
    if matrix is not None:
        # columns and rows of the picture as shown: x' = a x + c y, y' = b x + d y
        a, b, _, c, d, *_ = np.frombuffer(bytes(matrix), np.int32).tolist()
        if abs(b) > abs(a):
            pixels, a, d = pixels.transpose(1, 0, 2), c, b
        pixels = pixels[:: -1 if d < 0 else 1, :: -1 if a < 0 else 1]
    return np.ascontiguousarray(pixels)
