"""Choose the frames of a clip to track, and cache them on disk."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import logging
import math
import re
import tempfile
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray

from sola.errors import UserError
from sola.files import sha256_of_file, write_json
from sola.prediction.clip.decoding import ClipFrame, find_footage, read_footage
from sola.types import Video

if TYPE_CHECKING:
    from sola.config.sections import ClipOptions

log = logging.getLogger(__name__)

CLIP_VERSION = 2  # version of how frames are read; a new one invalidates all cached clips
CLIP_FILE, FRAMES_DIR = "clip.json", "frames"
FASTEST_PNG = (cv2.IMWRITE_PNG_COMPRESSION, 1)
MAX_SIDE_PX = 16_000  # x264 takes 16,384, and the sentence needs some
LOG_EVERY = 500  # frames; their total is only known at the end
# containers round times to milliseconds: 10 frames per second may read as 10.1
RATE_SLACK = 0.01
TIE_S = 0.002  # two tracked frames are equally near up to this difference, for the same reason


@dataclasses.dataclass(frozen=True)
class Clip:
    """Description of a clip, or of a part of it, whose tracked frames are on disk."""

    clip_id: str
    source: str
    """File or folder that the clip was read from."""
    width: int
    height: int
    """Size of every frame, after rotation."""
    first_frame: int
    """Index of the first frame in the source; later frames count from 0."""
    num_frames: int
    fps: float
    """Average number of frames per second."""
    times_s: Sequence[float]
    """When each of the T frames appears, in seconds after the first frame of the source."""
    end_s: float
    """When the last frame disappears."""
    files: Sequence[str]
    """T names of images; empty for a video."""
    step: int
    """Every step-th frame is tracked, from the first one."""
    tracked_width: int
    tracked_height: int
    """Size of the tracked frames."""
    frames_sha256: str = ""
    """SHA-256 of all pixels of the tracked frames."""

    @property
    def tracked(self) -> range:
        """Indices of the tracked frames."""
        return range(0, self.num_frames, self.step)

    def names(self, idxs: Sequence[int]) -> list[str]:
        """Return names of frames, which count from the first frame of the source."""
        return [f"{self.first_frame + idx:05d}" for idx in idxs]

    def video(self, clips_dir: Path) -> Video:
        """Return the tracked frames, lossless."""
        folder, names = clips_dir / self.clip_id / FRAMES_DIR, self.names(self.tracked)
        return Video(self.clip_id, tuple(folder / f"{name}.png" for name in names))

    def read(self, step: int = 1) -> Iterator[ClipFrame]:
        """Decode the source again, and yield every step-th frame at full size."""
        frames = read_footage(find_footage(Path(self.source)))
        return islice(frames, self.first_frame, self.first_frame + self.num_frames, step)

    def nearest_tracked(self, idx: int) -> int:
        """Return which tracked frame is nearest in time to a frame; of two the earlier one.

        Args:
            idx: index of a frame.

        Returns:
            Position among the tracked frames.
        """
        before = idx // self.step
        after = min(before + 1, len(self.tracked) - 1)
        ago_s = self.times_s[idx] - self.times_s[self.tracked[before]]
        ahead_s = self.times_s[self.tracked[after]] - self.times_s[idx]
        return after if ahead_s + TIE_S < ago_s else before


def open_clip(path: Path, clips_dir: Path, options: ClipOptions) -> Clip:
    """Open a clip, and write its tracked frames to disk unless an earlier call did.

    Args:
        path: a video file, an image, or a folder of images.
        clips_dir: holds one folder per clip and choice of frames, which appears once it is
            complete.
        options: the frames to track.

    Raises:
        UserError: if the clip is missing, empty or unreadable, its frames differ in size, or the
            options leave no frame.
    """
    files = find_footage(path)
    digest = hashlib.sha256(f"version {CLIP_VERSION}\n{options.of_tracking()}\n".encode())
    for each in files:
        digest.update(bytes.fromhex(sha256_of_file(each)) + f"{each.name}\n".encode())
    stem = path.resolve().name if path.is_dir() else path.stem
    title = re.sub(r"[^0-9A-Za-z_]+", "_", stem)[:40].strip("_") or "clip"
    folder = clips_dir / f"{title}-{digest.hexdigest()[:12]}"
    if not folder.is_dir():
        log.info("%s: reading its frames", path)
        _extract(_survey(path, files, folder.name, options), folder)
    content = json.loads((folder / CLIP_FILE).read_text())
    clip = Clip(**{**content, "source": str(path)})
    size, length_s = f"{clip.width} x {clip.height} px", clip.end_s - clip.times_s[0]
    log.info("%s: %d frames of %s, %.2f s", folder, clip.num_frames, size, length_s)
    if note := describe_tracking(clip, options):
        log.info("%s: %s", path, note)
    return clip


def describe_tracking(clip: Clip, options: ClipOptions) -> str:
    """Return what is tracked of a clip and which key changes it; "" if everything is."""
    notes = []
    if clip.step > 1:
        key = _step(clip.num_frames, clip.end_s - clip.times_s[0], options)[1]
        notes.append(f"1 in {clip.step} (clip.{key}={getattr(options, key):g})")
    if clip.tracked_width != clip.width or clip.tracked_height != clip.height:
        tracked = f"{clip.tracked_width} x {clip.tracked_height}"
        notes.append(
            f"at {tracked} instead of {clip.width} x {clip.height} px "
            f"(clip.max_side_px={options.max_side_px})"
        )
    if not notes:
        return ""
    others = {"nearest": "the others get the nearest one's masks", "none": "the others get none"}
    end = f"; {others[options.between]} (clip.between={options.between})" * (clip.step > 1)
    count = f"tracking {len(clip.tracked)} of {clip.num_frames} frames"
    return ", ".join([count, *notes]) + end


def _survey(path: Path, files: Sequence[Path], clip_id: str, options: ClipOptions) -> Clip:
    """Decode a clip without keeping its frames, and choose those to track."""
    first, end_s, height, width = 0, 0.0, 0, 0
    times_s: list[float] = []
    for idx, frame in enumerate(read_footage(files)):
        if options.end_s is not None and frame.start_s >= options.end_s:
            break
        end_s = frame.end_s
        if frame.start_s < options.start_s:
            first = idx + 1
            continue
        size = frame.size or frame.read().shape[:2]
        height, width = (height, width) if times_s else size
        if size != (height, width):
            where = frame.file or f"at {frame.start_s:.2f} s"
            raise UserError(
                f"{path}: {where}, the frame has {size[1]} x {size[0]} px, the first one has "
                f"{width} x {height}. Scale all frames to one size."
            )
        times_s.append(frame.start_s)
        if len(times_s) % LOG_EVERY == 0:
            log.info("%s: %d frames so far", path, len(times_s))
    if not times_s and first:
        end = "" if options.end_s is None else f" and before {options.end_s:g} s"
        raise UserError(
            f"clip.start_s: no frame from {options.start_s:g} s on{end} in {path}. Its frames up "
            f"to {end_s:.2f} s were read."
        )
    if not times_s:
        raise UserError(f"{path}: no frame can be read. Get the file again.")
    if max(height, width) > MAX_SIDE_PX:
        raise UserError(
            f"{path}: frames of {width} x {height} px; overlay videos have at most {MAX_SIDE_PX:,} "
            "px a side. Scale the clip down."
        )
    scale = min(1.0, (options.max_side_px or math.inf) / max(height, width))
    return Clip(
        clip_id=clip_id,
        source=str(path),
        width=width,
        height=height,
        first_frame=first,
        num_frames=len(times_s),
        fps=len(times_s) / (end_s - times_s[0]),
        times_s=times_s,
        end_s=end_s,
        files=[each.name for each in files][first : first + len(times_s)] if frame.file else [],
        step=_step(len(times_s), end_s - times_s[0], options)[0],
        tracked_width=max(1, round(width * scale)),
        tracked_height=max(1, round(height * scale)),
    )


def _step(num_frames: int, length_s: float, options: ClipOptions) -> tuple[int, str]:
    """Return the smallest step that keeps to all limits, and the key that demands it."""
    steps = {"stride": options.stride}
    if options.max_fps is not None:
        rate = num_frames / length_s * (1 - RATE_SLACK)
        steps["max_fps"] = math.ceil(rate / options.max_fps)
    if options.max_frames is not None:
        steps["max_frames"] = math.ceil(num_frames / options.max_frames)
    key = max(steps, key=lambda each: steps[each])
    return steps[key], key


def _extract(clip: Clip, folder: Path) -> None:
    """Write the folder of a clip atomically: it is complete or absent."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    try:
        with tempfile.TemporaryDirectory(".part", f"{folder.name}.", folder.parent) as parent:
            unfinished = Path(parent, folder.name)
            (unfinished / FRAMES_DIR).mkdir(parents=True)
            digest = _write_frames(clip, Path(parent))
            done = dataclasses.replace(clip, frames_sha256=digest)
            write_json(unfinished / CLIP_FILE, dataclasses.asdict(done))
            if not folder.is_dir():  # else another process has written the same folder
                unfinished.rename(folder)
    except OSError as error:
        error.filename = error.filename or str(folder)  # a full disk then gives a one-line message
        raise


def _write_frames(clip: Clip, clips_dir: Path) -> str:
    """Write the tracked frames one by one, and return the SHA-256 of all pixels."""
    digest, size = hashlib.sha256(), (clip.tracked_height, clip.tracked_width)
    frames = zip(clip.read(clip.step), clip.video(clips_dir).frame_paths, strict=True)
    for frame, path in frames:
        pixels = _scaled(frame.read(), size)
        digest.update(pixels.data)
        png = cv2.imencode(".png", pixels[..., ::-1], FASTEST_PNG)[1]
        path.write_bytes(png.tobytes())
    digest.update("{} x {}".format(*size).encode())
    return digest.hexdigest()


def _scaled(pixels: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[Any]:
    if pixels.shape[:2] == size:
        return pixels
    return cv2.resize(pixels, size[::-1], interpolation=cv2.INTER_AREA)
