"""Reads frames from disk as uint8 arrays.

Pillow decodes them, as in SAM 2's own loader, so that a tracker sees the same pixels.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from sola.types import Video


def read_frame(path: Path) -> np.ndarray:
    """One frame: (H, W, 3) uint8 RGB.

    Raises:
        ValueError: if the file is missing or no readable image.
    """
    with _open(path) as image:
        return np.asarray(image.convert("RGB"))


def frame_size(path: Path) -> tuple[int, int]:
    """(H, W) of a frame, from the head of its file.

    Raises:
        ValueError: if the file is missing or no readable image.
    """
    with _open(path) as image:
        return image.height, image.width


def read_frames(video: Video, num_threads: int = 4) -> np.ndarray:
    """All frames of a video, decoded by threads: (T, H, W, 3) uint8 RGB.

    Raises:
        ValueError: if a frame is missing or unreadable, or the frames differ in size.
    """
    with ThreadPoolExecutor(num_threads) as pool:
        frames = list(pool.map(read_frame, video.frame_paths))
    _check_sizes(video.frame_paths, frames)
    return np.stack(frames)


@contextmanager
def _open(path: Path) -> Iterator[Image.Image]:
    """An image file, whatever goes wrong while it is read told in one sentence."""
    try:
        with Image.open(path) as image:
            yield image
    except FileNotFoundError as error:
        raise ValueError(f"{path}: frame not found. Get the video's frames again.") from error
    except (UnidentifiedImageError, OSError) as error:
        raise ValueError(f"{path}: unreadable image ({error}). Get it again.") from error


def _check_sizes(paths: Sequence[Path], frames: Sequence[np.ndarray]) -> None:
    for path, frame in zip(paths, frames, strict=True):
        if frame.shape != frames[0].shape:
            raise ValueError(
                f"{path}: frame of {frame.shape[1]} x {frame.shape[0]} px, the video's first has "
                f"{frames[0].shape[1]} x {frames[0].shape[0]}; all frames must have one size."
            )
