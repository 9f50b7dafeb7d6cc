"""A clip on disk: its frames, read once, under a name that says what is in them."""

import dataclasses
import hashlib
import json
import logging
import os
import re
import shutil
from collections.abc import Sequence
from pathlib import Path

import cv2

from sola.datasets import Split
from sola.errors import UserError
from sola.files import write_json
from sola.prediction.clip.footage import find_footage, read_footage
from sola.types import Expression, Masklet, Video

log = logging.getLogger(__name__)

CLIP_VERSION = 1
"""Of how frames are read: another one reads all clips again."""
LOG_EVERY = 500
"""Frames between two lines of progress: how many there are is known at the end."""
DATASET_NAME = "clips"
"""Of the data set that all clips make up, one split each."""
CLIP_FILE = "clip.json"
FRAMES_DIR = "frames"
FASTEST_PNG = (cv2.IMWRITE_PNG_COMPRESSION, 1)


@dataclasses.dataclass(frozen=True)
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
    times_s: Sequence[float]
    """When each of the T frames is shown first, from 0 on."""
    end_s: float
    """When the last one goes."""
    files: Sequence[str]
    """T names of images; empty for a video."""
    frames_sha256: str
    """Of all pixels."""

    def video(self, clips_dir: Path) -> Video:
        """Its T lossless frames."""
        folder = clips_dir / self.clip_id / FRAMES_DIR
        return Video(self.clip_id, tuple(folder / _name(idx) for idx in range(self.num_frames)))


class ClipSplit(Split):
    """A clip and sentences about it, as everything downstream takes a data set."""

    def __init__(self, clip: Clip, clips_dir: Path, texts: Sequence[str] = ()) -> None:
        """Take a clip.

        Args:
            clip: its frames are on disk.
            clips_dir: where.
            texts: sentences about it; their places are their ids.
        """
        self.clip, self.name, self.split = clip, DATASET_NAME, clip.clip_id
        self.split_dir = clips_dir / clip.clip_id
        self.videos = {clip.clip_id: clip.video(clips_dir)}
        self.expressions = [
            Expression(clip.clip_id, str(idx), text, object_ids=None)
            for idx, text in enumerate(texts)
        ]

    @property
    def has_masks(self) -> bool:
        """False: there is no ground truth."""
        return False

    @property
    def annotations_sha256(self) -> dict[str, str]:
        """Of the frames and, where there are any, of the sentences."""
        texts = [expression.text for expression in self.expressions]
        of_texts = hashlib.sha256(json.dumps(texts).encode()).hexdigest()
        return {"frames": self.clip.frames_sha256} | ({"expressions": of_texts} if texts else {})

    def ground_truth(self, video_id: str) -> dict[str, Masklet]:
        """Nothing."""
        return {}


def open_clip(path: Path, clips_dir: Path) -> Clip:
    """A clip with its frames on disk, which are those of an earlier call if there are any.

    Args:
        path: a video file, an image, or a folder of images.
        clips_dir: keeps one folder a clip; it is there when it is complete.

    Raises:
        UserError: if the clip is missing, empty, unreadable, or of frames of several sizes.
    """
    files = find_footage(path)
    digest = hashlib.sha256(f"version {CLIP_VERSION}\n".encode())
    for each in files:
        with each.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
        digest.update(f"{each.name}\n".encode())
    stem = path.resolve().name if path.is_dir() else path.stem
    title = re.sub(r"[^0-9A-Za-z_]+", "_", stem)[:40].strip("_") or "clip"
    folder = clips_dir / f"{title}-{digest.hexdigest()[:12]}"
    if not folder.is_dir():
        log.info("%s: reading its frames", path)
        _extract(path, files, folder)
    content = json.loads((folder / CLIP_FILE).read_text())
    del content["clip_version"]
    clip = Clip(**{**content, "source": str(path)})
    size = f"{clip.width} x {clip.height} px"
    log.info("%s: %d frames of %s, %.2f s", folder, clip.num_frames, size, clip.end_s)
    return clip


def _extract(path: Path, files: Sequence[Path], folder: Path) -> None:
    """Write the folder of a clip: complete or not at all."""
    unfinished = folder.with_name(f"{folder.name}.{os.getpid()}.part")
    shutil.rmtree(unfinished, ignore_errors=True)  # of a killed run that had this number
    try:
        (unfinished / FRAMES_DIR).mkdir(parents=True)
        clip = _write_frames(path, files, folder.name, unfinished / FRAMES_DIR)
        content = {"clip_version": CLIP_VERSION, **dataclasses.asdict(clip)}
        write_json(unfinished / CLIP_FILE, content)
        if not folder.is_dir():  # else another process was faster, with the same result
            unfinished.rename(folder)
    except OSError as error:
        error.filename = error.filename or str(folder)  # of a full disk: then it is one message
        raise
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _write_frames(path: Path, files: Sequence[Path], clip_id: str, frames_dir: Path) -> Clip:
    """Write one frame at a time; a clip may be longer than memory."""
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
        raise UserError(f"{path}: not a single frame can be read. Get the file again.")
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
