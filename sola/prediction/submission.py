"""Masks to hand in: ``[<top folder>/]<video>/<expression id>/<frame>.png``, 8-bit, 0 or 255."""

import zipfile
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby
from pathlib import Path

import cv2
import numpy as np

from sola.config.progress import progress
from sola.datasets import Split
from sola.errors import UserError
from sola.evaluation.predictions import (
    GREY,
    NUM_THREADS,
    MaskFiles,
    Size,
    folders_of,
    list_faults,
    wanted_masks,
)
from sola.masks import decode
from sola.types import Expression, Masklet, RunLength, Video

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
        lines = faults[:FAULTS_SHOWN]
        lines += [f"and {len(faults) - FAULTS_SHOWN} more"] if faults[FAULTS_SHOWN:] else []
        raise UserError(
            f"{zip_path}: not written, {len(faults)} of its masks are not what split "
            f"{dataset.split} of {dataset.name} needs. If the frames have changed since the tracks "
            "were made, run generate.py again.\n" + "\n".join(lines)
        )
    unfinished.rename(zip_path)


def find_faults(path: Path, wanted: Mapping[str, Size], top_dir: str) -> list[str]:
    """Return everything that is wrong with a submission.

    Args:
        path: a zip, or a folder whose contents would be zipped.
        wanted: masks that it must hold, and nothing else; see ``wanted_masks``.
        top_dir: folder in it that holds the videos, "" for none.

    Returns:
        ``<file or folder>: <fault>`` each; a folder that is missing or unexpected as a whole is one
        fault.

    Raises:
        UserError: if ``path`` is neither a folder nor a readable zip.
    """
    files = MaskFiles(path)
    counts, top = Counter(files.names), files.find_top(wanted, top_dir)
    needed = {top + name: size for name, size in wanted.items()}
    folders, faults = folders_of(needed), []
    if top.rstrip("/") != top_dir:
        where = f"in a folder {top_dir}/" if top_dir else "at the top"
        faults.append(f"{top or '.'}: holds the videos; they are needed {where}")
    faults += [f"{name}: {count} times in the zip" for name, count in counts.items() if count > 1]
    faults += [f"{name}: is a link; expected the mask itself" for name in sorted(files.links)]
    missing = (name for name in needed if name not in counts)
    faults += list_faults("missing", missing, folders_of(counts))
    surplus = (name for name in counts if name not in needed and name not in folders)
    faults += list_faults("unexpected", surplus, folders)
    there = [name for name in needed if name in counts and name not in files.links]
    by_folder = [list(names) for _, names in groupby(there, lambda name: name.rpartition("/")[0])]
    with ThreadPoolExecutor(NUM_THREADS) as pool, progress("checking", len(by_folder)) as advance:
        for names in by_folder:
            found = pool.map(lambda name: _content_fault(files, name, needed[name]), names)
            pairs = zip(names, found, strict=True)
            faults += [f"{name}: {fault}" for name, fault in pairs if fault]
            advance("")
    return faults


def _content_fault(files: MaskFiles, name: str, size: Size) -> str:
    """Return what is wrong with a mask; "" if nothing is."""
    try:
        values, kind = files.read_mask(name, size)
    except UserError as error:
        return str(error)
    if kind != GREY:
        return f"{kind}; expected {GREY}"
    wrong = np.setdiff1d(values, (0, 255)).tolist()
    shown = ", ".join(map(str, wrong[:5])) + (", ..." if wrong[5:] else "")
    return f"has the values {shown}; expected only 0 and 255" if wrong else ""


def _write_png(path: Path, mask: RunLength) -> None:
    pixels = decode([mask])[0].view(np.uint8) * np.uint8(255)
    path.write_bytes(cv2.imencode(".png", pixels)[1].tobytes())
