"""A clip's frames on disk: read once, under a name that says what is in it."""

import dataclasses
import errno
import hashlib
import json
import logging
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2

from sola.errors import UserError
from sola.files import write_json
from sola.prediction.clip.footage import read_footage
from sola.prediction.clip.frame import ClipFrame
from sola.prediction.clip.images import find_images, is_image, read_images

log = logging.getLogger(__name__)

CLIP_VERSION = 1
"""Of how frames are read: another one reads all clips again."""
FRAMES_TOLD = 500
"""Frames between two lines of progress: how many there are is known at the end."""
CLIP_FILE = "clip.json"
FRAMES_DIR = "frames"
FASTEST_PNG = (cv2.IMWRITE_PNG_COMPRESSION, 1)
DISK_IS_FULL = (errno.ENOSPC, errno.EDQUOT)


@dataclass(frozen=True)
class Clip:
    """What is known of a clip whose frames are on disk."""

    clip_id: str
    source: str
    """File or folder that it comes from."""
    width: int
    height: int
    """Of every frame, after its rotation."""
    num_frames: int
    fps: float
    """Frames a second, on average."""
    times_s: tuple[float, ...]
    """When each of the T frames is shown first, from 0 on."""
    end_s: float
    """When the last one goes."""
    files: tuple[str, ...]
    """T names of images; () of a video."""
    frames_sha256: str
    """Of all pixels."""

    def frame_paths(self, clips_dir: Path) -> tuple[Path, ...]:
        """T lossless images."""
        folder = clips_dir / self.clip_id / FRAMES_DIR
        return tuple(folder / _frame_name(idx) for idx in range(self.num_frames))


def open_clip(path: Path, clips_dir: Path) -> Clip:
    """A clip with its frames on disk, which are those of an earlier call where there are any.

    Args:
        path: a video file, an image, or a folder of images.
        clips_dir: keeps one folder a clip; it is there when it is complete.

    Raises:
        UserError: if the clip is missing, empty, unreadable, or of frames of several sizes.
    """
    files = _files(path)
    clip_id = f"{_readable(path)}-{_sha256(files)[:12]}"
    folder = clips_dir / clip_id
    if not folder.is_dir():
        log.info("%s: reading its frames", path)
        _extract(path, files, folder)
    content = json.loads((folder / CLIP_FILE).read_text())
    del content["clip_version"]
    lists = {key: tuple(content[key]) for key in ("times_s", "files")}
    clip = Clip(**{**content, **lists, "source": str(path)})
    log.info(
        "%s: %d frames of %d x %d px, %.2f s",
        folder,
        clip.num_frames,
        clip.width,
        clip.height,
        clip.end_s,
    )
    return clip


def _files(path: Path) -> list[Path]:
    """What a clip is made of: one video, or images."""
    if path.is_dir():
        return find_images(path)
    if not path.is_file():
        raise UserError(f"{path}: no such file or folder. Correct video=...")
    if path.stat().st_size == 0:
        raise UserError(f"{path}: the file is empty; needed is a video. Get the file again.")
    return [path]


def _sha256(files: list[Path]) -> str:
    digest = hashlib.sha256(f"version {CLIP_VERSION}\n".encode())
    for path in files:
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
        digest.update(f"{path.name}\n".encode())
    return digest.hexdigest()


def _readable(path: Path) -> str:
    stem = path.resolve().name if path.is_dir() else path.stem
    return re.sub(r"[^0-9A-Za-z_]+", "_", stem)[:40].strip("_") or "clip"


def _extract(path: Path, files: list[Path], folder: Path) -> None:
    """Writes the folder of a clip: complete or not at all."""
    unfinished = folder.with_name(f"{folder.name}.{os.getpid()}.part")
    shutil.rmtree(unfinished, ignore_errors=True)  # of a killed run that had this number
    try:
        (unfinished / FRAMES_DIR).mkdir(parents=True)
        frames = read_images(files) if is_image(files[0]) else read_footage(path)
        clip = _write_frames(frames, path, folder.name, unfinished / FRAMES_DIR)
        content = {"clip_version": CLIP_VERSION, **dataclasses.asdict(clip)}
        write_json(unfinished / CLIP_FILE, content)
        if not folder.is_dir():  # else another process was faster, with the same result
            unfinished.rename(folder)
    except OSError as error:
        if error.errno not in DISK_IS_FULL:
            raise
        raise UserError(
            f"{folder.parent}: the disk is full; the frames of {path} do not fit. Make room, cut "
            "the clip shorter or scale it down, or say data_root=<folder on a larger disk>."
        ) from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _write_frames(
    frames: Iterator[ClipFrame], source: Path, clip_id: str, frames_dir: Path
) -> Clip:
    """Writes one frame at a time; a clip may be longer than memory."""
    digest = hashlib.sha256()
    times_s: list[float] = []
    names: list[str] = []
    for frame in frames:
        digest.update(frame.pixels.data)
        is_encoded, png = cv2.imencode(".png", frame.pixels[..., ::-1], FASTEST_PNG)
        assert is_encoded, f"OpenCV cannot encode a frame of shape {frame.pixels.shape}"
        (frames_dir / _frame_name(len(times_s))).write_bytes(png.tobytes())
        times_s.append(frame.start_s)
        names += [frame.file] if frame.file else []
        height, width = frame.pixels.shape[:2]
        end_s = frame.end_s
        if len(times_s) % FRAMES_TOLD == 0:
            log.info("%s: %d frames so far", source, len(times_s))
    digest.update(f"{height} x {width}".encode())
    return Clip(
        clip_id=clip_id,
        source=str(source),
        width=width,
        height=height,
        num_frames=len(times_s),
        fps=len(times_s) / end_s,
        times_s=tuple(times_s),
        end_s=end_s,
        files=tuple(names),
        frames_sha256=digest.hexdigest(),
    )


def _frame_name(frame_idx: int) -> str:
    return f"{frame_idx:05d}.png"
