"""predict.py on a split: every expression answered with masks, some of them drawn."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from sola.config.entry_points import PredictConfig
from sola.config.progress import progress
from sola.datasets.frames import read_frame
from sola.errors import UserError
from sola.evaluation.run import open_sources, open_split, score_split
from sola.evaluation.scored_split import SCORES_FILE, ScoredSplit
from sola.evaluation.scores import group_by_video
from sola.evaluation.staging import publish, start_staging
from sola.files import write_json
from sola.masks import decode, empty_masklet, merge
from sola.prediction.submission import write_masks, write_submission
from sola.types import Expression, Masklet
from sola.visualization.overlays import GREEN, ORANGE, MaskRow, contact_sheet, evenly_spaced

log = logging.getLogger(__name__)

MASKS_DIR = "masks"
OVERLAYS_DIR = "overlays"
PREDICTION_FILE = "prediction.json"
SUBMISSION_FILE = "submission.zip"
RESULTS = (PREDICTION_FILE, SUBMISSION_FILE, MASKS_DIR, OVERLAYS_DIR)
"""In the order in which those of an earlier run are removed; the first is published last."""
FRAMES_SHOWN = 6
"""Frames of a video in an overlay picture, evenly spaced."""
Selection = tuple[int, ...]
"""Indices of the selected tracks among those of the video, ascending."""
Selections = dict[tuple[str, str], Selection]
"""By (video id, expression id)."""


@dataclass(frozen=True)
class Prediction:
    """What was written."""

    masks_dir: Path
    """Holds ``<video>/<expression id>/<frame>.png``."""
    overlay_paths: tuple[Path, ...]
    selected: Selections


def run_predict(config: PredictConfig) -> Prediction:
    """Answer every expression of a split.

    Writes masks in the layout of a submission, overlay pictures, scores.json, prediction.json and,
    if the configuration asks for it, submission.zip into the output folder, in place of those of an
    earlier run. Each is there when it is complete, prediction.json when all are. Ground truth is
    not needed; where it is there, the overlays show it.

    Returns:
        Where everything is, and what was selected.

    Raises:
        UserError: if something is missing or does not fit.
    """
    split = score_split(config, open_split(config), open_sources(config))
    output_dir, top_dir = Path(config.paths.output_dir), config.dataset.submission_top_dir
    staging_dir = start_staging(output_dir, RESULTS)
    selected = answer(split, staging_dir / MASKS_DIR / top_dir, config.threshold)
    for idx in evenly_spaced(len(split.dataset.expressions), config.num_overlays):
        expression = split.dataset.expressions[idx]
        _draw(staging_dir / OVERLAYS_DIR, split, expression, selected[_key(expression)])
    if config.submission:
        zip_path = staging_dir / SUBMISSION_FILE
        write_submission(staging_dir / MASKS_DIR, zip_path, split.dataset, top_dir)
    record = {
        **split.provenance,
        "threshold": config.threshold,
        "scores": SCORES_FILE,  # says what the indices of tracks stand for
        "expressions": [
            {"video": video_id, "expression": expression_id, "tracks": list(tracks)}
            for (video_id, expression_id), tracks in selected.items()
        ],
    }
    write_json(staging_dir / PREDICTION_FILE, record)
    publish(staging_dir, RESULTS)
    overlay_paths = tuple(sorted((output_dir / OVERLAYS_DIR).glob("*.png")))
    masks_dir = output_dir / MASKS_DIR / top_dir
    num_empty = sum(not tracks for tracks in selected.values())
    log.info("%s: masks of %d expressions, %d of them empty", masks_dir, len(selected), num_empty)
    if config.submission:
        log.info("%s: complete and without faults", output_dir / SUBMISSION_FILE)
    for path in overlay_paths:
        log.info("%s: overlay", path)
    return Prediction(masks_dir, overlay_paths, selected)


def answer(split: ScoredSplit, masks_dir: Path, threshold: float) -> Selections:
    """Write the masks of every expression of a scored split.

    Args:
        split: scores of all its expressions.
        masks_dir: gets one folder a video.
        threshold: a track is selected when its score is above this.

    Returns:
        What was selected.

    Raises:
        UserError: if tracks and frames do not fit.
    """
    videos, found = group_by_video(split.dataset.expressions), Selections()
    with progress(f"masks of {split.dataset.name}/{split.dataset.split}", len(videos)) as advance:
        for video_id, expressions in videos.items():
            tracks, video = split.sources.read(expressions), split.dataset.videos[video_id]
            for expression in expressions:
                selected = tuple(sorted(split.scores.select(expression, threshold)))
                masklets = [tracks.masklets[idx] for idx in selected]
                union = union_of(masklets, len(video.frame_paths), tracks.size)
                write_masks(masks_dir, video, expression, union)
                found[_key(expression)] = selected
            advance("")
    return found


def union_of(masklets: Sequence[Masklet], num_frames: int, size: tuple[int, int]) -> Masklet:
    """Union of masklets; empty masks of (H, W) ``size`` where there are none."""
    return merge(masklets) if masklets else empty_masklet(num_frames, size)


def _draw(folder: Path, split: ScoredSplit, expression: Expression, selected: Selection) -> None:
    """Write the overlay picture of one expression."""
    dataset, video_id = split.dataset, expression.video_id
    paths = dataset.videos[video_id].frame_paths
    tracks = split.sources.read([e for e in dataset.expressions if e.video_id == video_id])
    shown = evenly_spaced(len(paths), FRAMES_SHOWN)

    def row(label: str, masklets: Sequence[Masklet], colour: tuple[int, int, int]) -> MaskRow:
        union = union_of(masklets, len(paths), tracks.size)
        return MaskRow(label, decode([union[idx] for idx in shown]), colour)

    label = (
        f"selected: {len(selected)} of {len(tracks.candidates[expression.expression_id])} tracks"
    )
    rows = [row(label, [tracks.masklets[idx] for idx in selected], ORANGE)]
    if dataset.has_masks and expression.object_ids is not None:
        truth = dataset.ground_truth(video_id)
        meant = [truth[object_id] for object_id in expression.object_ids]
        rows.append(row(f"ground truth: {len(meant)} objects", meant, GREEN))
    sheet = contact_sheet(
        [read_frame(paths[idx]).astype(np.uint8) for idx in shown],
        rows,
        title=f'"{expression.text.strip()}"',
        caption=f"{dataset.name}/{dataset.split}, video {video_id}, "
        f"expression {expression.expression_id}",
        frame_names=[paths[idx].stem for idx in shown],
    )
    folder.mkdir(exist_ok=True)
    path = folder / f"{video_id}_{expression.expression_id}.png"
    if not cv2.imwrite(str(path), cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR)):
        raise UserError(f"{path}: could not be written. Check the free disk space.")


def _key(expression: Expression) -> tuple[str, str]:
    return expression.video_id, expression.expression_id
