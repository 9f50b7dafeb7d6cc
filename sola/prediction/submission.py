"""Masks to hand in: ``[<top folder>/]<video>/<expression id>/<frame>.png``, 8-bit, 0 or 255."""

import os
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np

from sola.datasets import Split
from sola.errors import UserError
from sola.evaluation.submission_faults import find_faults, wanted_masks
from sola.masks import decode
from sola.types import Expression, Masklet, RunLength, Video

NUM_THREADS = min(16, os.cpu_count() or 1)  # OpenCV and numpy let threads run side by side
FAULTS_SHOWN = 20


def write_masks(masks_dir: Path, video: Video, expression: Expression, union: Masklet) -> None:
    """Write the answer to one expression, one PNG a frame.

    A killed process leaves some of them, or part of one: ``masks_dir`` lies in a staging folder.

    Args:
        masks_dir: folder of all videos.
        video: names the frames.
        expression: names the folder.
        union: T masks, one for each frame of the video; empty ones for "nowhere".

    Raises:
        UserError: if there are not as many masks as frames.
    """
    if len(union) != len(video.frame_paths):
        raise UserError(
            f"video {video.video_id} has {len(video.frame_paths)} frames, its tracks {len(union)}. "
            "The frames have changed since: run generate.py again."
        )
    folder = masks_dir / expression.video_id / expression.expression_id
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{frame_path.stem}.png" for frame_path in video.frame_paths]
    with ThreadPoolExecutor(NUM_THREADS) as pool:
        list(pool.map(_write_png, paths, union))  # a list, so that errors come out


def write_submission(masks_dir: Path, zip_path: Path, dataset: Split, top_dir: str) -> None:
    """Pack masks into the zip that a benchmark's server takes, and check it.

    The zip of the same masks has the same bytes.

    Args:
        masks_dir: what the zip holds.
        zip_path: is there when the zip is complete and without faults.
        dataset: the split that was answered.
        top_dir: folder that holds the videos in the zip, "" for none.

    Raises:
        UserError: if the masks are not what the split needs; the message lists the faults.
    """
    unfinished = zip_path.with_name(f"{zip_path.name}.part")
    with zipfile.ZipFile(unfinished, "w") as file:  # stored: PNGs are compressed already
        for path in sorted(masks_dir.rglob("*.png")):
            member = zipfile.ZipInfo(path.relative_to(masks_dir).as_posix())
            member.external_attr = 0o644 << 16
            file.writestr(member, path.read_bytes())
    faults = find_faults(unfinished, wanted_masks(dataset), top_dir)
    if faults:
        lines = [str(fault) for fault in faults[:FAULTS_SHOWN]]
        lines += [f"and {len(faults) - FAULTS_SHOWN} more"] if faults[FAULTS_SHOWN:] else []
        raise UserError(
            f"{zip_path}: not written, {len(faults)} of its masks are not what split "
            f"{dataset.split} of {dataset.name} needs. If the frames have changed since the tracks "
            "were made, run generate.py again.\n" + "\n".join(lines)
        )
    unfinished.rename(zip_path)


def _write_png(path: Path, mask: RunLength) -> None:
    pixels = decode([mask])[0].view(np.uint8) * np.uint8(255)
    path.write_bytes(cv2.imencode(".png", pixels)[1].tobytes())
