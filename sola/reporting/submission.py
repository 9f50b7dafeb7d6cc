"""Masks as MeViS takes them: ``<video>/<expression id>/<frame>.png``, 8-bit, 0 or 255."""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from sola.masks import decode
from sola.types import Expression, Masklet, Video

CHUNK_FRAMES = 16
NUM_THREADS = min(4, os.cpu_count() or 1)


def expression_dir(masks_dir: Path, expression: Expression) -> Path:
    """Folder of one expression's masks."""
    return masks_dir / expression.video_id / expression.expression_id


def write_masks(masks_dir: Path, video: Video, expression: Expression, union: Masklet) -> None:
    """Writes the answer to one expression, one PNG a frame.

    Args:
        masks_dir: folder of all videos.
        video: names the frames.
        expression: names the folder.
        union: T masks, one for each frame of the video; empty ones for "nowhere".

    Raises:
        ValueError: if the masks are not as many as the frames.
    """
    if len(union) != len(video.frame_paths):
        raise ValueError(
            f"video {video.video_id} has {len(video.frame_paths)} frames, its tracks {len(union)}. "
            "The frames have changed since: run generate.py again."
        )
    folder = expression_dir(masks_dir, expression)
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{frame_path.stem}.png" for frame_path in video.frame_paths]
    with ThreadPoolExecutor(NUM_THREADS) as pool:
        for start in range(0, len(paths), CHUNK_FRAMES):
            masks = decode(union[start : start + CHUNK_FRAMES])
            written = pool.map(_write_png, paths[start : start + CHUNK_FRAMES], masks)
            _check(list(written), paths[start:])


def _write_png(path: Path, mask: NDArray[np.bool_]) -> bool:
    return cv2.imwrite(str(path), mask.astype(np.uint8) * np.uint8(255))


def _check(written: Sequence[bool], paths: Sequence[Path]) -> None:
    for is_written, path in zip(written, paths, strict=False):
        if not is_written:
            raise OSError(f"{path}: could not be written; is the disk full?")
