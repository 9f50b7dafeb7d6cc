"""Write and check submissions: ``[<top folder>/]<video>/<expression id>/<frame>.png``.

Masks are 8-bit grey PNGs of 0 and 255.
"""

import argparse
import sys
import zipfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np

from sola.config import compose
from sola.config.entry_points import PredictConfig
from sola.config.program import run_program
from sola.datasets import Split
from sola.errors import UserError
from sola.evaluation.predictions import NUM_THREADS, find_faults, first_of, wanted_masks
from sola.masks import decode
from sola.types import Expression, Masklet, RunLength, Video


def write_masks(masks_dir: Path, video: Video, expression: Expression, union: Masklet) -> None:
    """Write the answer to one expression, one PNG per frame.

    A killed process may leave incomplete files, so ``masks_dir`` must be in a staging folder.

    Args:
        masks_dir: folder of all videos.
        video: gives the names of the frames.
        expression: gives the name of the folder.
        union: T masks, one per frame of the video; empty where nothing is selected.
    """
    folder = masks_dir / expression.video_id / expression.expression_id
    folder.mkdir(parents=True, exist_ok=True)
    assert len(union) == len(video.frame_paths), "TrackSources.check_complete compared them"
    paths = [folder / f"{frame_path.stem}.png" for frame_path in video.frame_paths]
    with ThreadPoolExecutor(NUM_THREADS) as pool:
        list(pool.map(_write_png, paths, union))  # a list, so that errors are raised


def write_submission(masks_dir: Path, zip_path: Path, dataset: Split, top_dir: str) -> None:
    """Pack masks into a zip for a benchmark's server, and check it.

    The same masks give a zip with the same bytes.

    Args:
        masks_dir: folder to pack.
        zip_path: path of the zip, which appears once it is complete and has no faults.
        dataset: the split that was answered.
        top_dir: folder that holds the videos in the zip, "" for none.

    Raises:
        UserError: if the masks are not those that the split needs; the message lists the faults.
    """
    unfinished = zip_path.with_name(f"{zip_path.name}.part")
    with zipfile.ZipFile(unfinished, "w") as file:  # stored: PNGs are compressed already
        for path in sorted(masks_dir.rglob("*.png")):
            member = zipfile.ZipInfo(path.relative_to(masks_dir).as_posix())
            member.external_attr = 0o644 << 16
            file.writestr(member, path.read_bytes())
    faults = find_faults(unfinished, wanted_masks(dataset), top_dir)
    if faults:
        raise UserError(
            f"{zip_path}: not written, {len(faults)} of its masks are not what split "
            f"{dataset.split} of {dataset.name} needs. If the frames have changed since the tracks "
            f"were made, run generate.py again.{first_of(faults)}"
        )
    unfinished.rename(zip_path)


def main(arguments: Sequence[str] | None = None) -> None:
    """``sola check submission``: lists all faults of masks before you submit them.

    Takes the submission.zip of predict.py submission=true, or the masks of any other system. Exits
    with status 1 if there is a fault.
    """
    parser = argparse.ArgumentParser(prog="sola check submission", description=main.__doc__)
    parser.add_argument("path", type=Path, help="the zip, or a folder of what it would hold")
    parser.add_argument("values", nargs="*", help="as for predict.py: dataset=mevis split=valid")
    options = parser.parse_args(arguments)
    run_program(lambda: _check(options.path, options.values))


def _check(path: Path, values: Sequence[str]) -> int:
    # predict.py's own configuration, with placeholders for required values of a run
    values = ["ckpt_path=none", "paths.output_dir=none", *values]
    config: PredictConfig = compose("predict", values)
    dataset = config.dataset.open(config.split)
    wanted = wanted_masks(dataset)
    faults = find_faults(path, wanted, config.dataset.submission_top_dir)
    summary = (
        f"{path}: {len(faults) or 'no'} faults; {dataset.name}/{dataset.split} needs "
        f"{len(wanted)} masks for {len(dataset.expressions)} expressions"
    )
    sys.stdout.write("\n".join([*faults, summary, ""]))
    return 1 if faults else 0


def _write_png(path: Path, mask: RunLength) -> None:
    pixels = decode([mask])[0].view(np.uint8) * np.uint8(255)
    path.write_bytes(cv2.imencode(".png", pixels)[1].tobytes())
