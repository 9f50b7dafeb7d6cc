"""What predict.py does: answers every expression of a split with masks, and draws some of them."""

import logging
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from sola.config.entry_points import PredictConfig
from sola.config.progress import progress
from sola.datasets.frames import read_frame
from sola.errors import UserError
from sola.evaluation.run import SCORES_FILE, open_sources, open_split, score_split
from sola.evaluation.scored_split import ScoredSplit
from sola.evaluation.scorer import VideoScorer
from sola.evaluation.scores import group_by_video
from sola.evaluation.staging import publish, start_staging
from sola.evaluation.tracks import VideoTracks
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
"""In the order in which those of an earlier run go; the first comes last."""
FRAMES_SHOWN = 6
"""Frames of a video in an overlay picture, evenly spaced."""


@dataclass(frozen=True)
class Prediction:
    """What was written."""

    masks_dir: Path
    """Holds ``<video>/<expression id>/<frame>.png``."""
    overlay_paths: tuple[Path, ...]
    selected: dict[tuple[str, str], tuple[int, ...]]
    """(video id, expression id) -> indices of the selected tracks among those of the video."""


def run_predict(config: PredictConfig) -> Prediction:
    """Answers every expression of a split.

    Writes masks in the layout of a submission, overlay pictures, scores.json, prediction.json and,
    where it is asked for, submission.zip into the output folder, in place of those of an earlier
    run. Each is there when it is complete, prediction.json when all are. Ground truth is not
    needed; where it is there, the overlays show it.

    Args:
        config: see ``PredictConfig``.

    Returns:
        Where everything is, and what was selected.

    Raises:
        ValueError: if something is missing or does not fit.
    """
    split = score_split(config, open_split(config), open_sources(config))
    output_dir = Path(config.paths.output_dir)
    staging_dir = start_staging(output_dir, RESULTS)
    top_dir = config.dataset.submission_top_dir
    prediction = predict_split(
        split, staging_dir, config.threshold, config.num_overlays, top_dir=top_dir
    )
    if config.submission:
        write_submission(
            staging_dir / MASKS_DIR, staging_dir / SUBMISSION_FILE, split.dataset, top_dir
        )
    write_json(
        staging_dir / PREDICTION_FILE,
        {
            **split.provenance,
            "threshold": config.threshold,
            "scores": SCORES_FILE,  # says what the indices of tracks stand for
            "expressions": _as_json(prediction.selected),
        },
    )
    publish(staging_dir, RESULTS)
    prediction = _moved(prediction, staging_dir, output_dir)
    num_empty = sum(not selected for selected in prediction.selected.values())
    log.info(
        "%s: masks of %d expressions, %d of them answered by nothing",
        prediction.masks_dir,
        len(prediction.selected),
        num_empty,
    )
    if config.submission:
        log.info("%s: complete and without faults", output_dir / SUBMISSION_FILE)
    for path in prediction.overlay_paths:
        log.info("%s: overlay", path)
    return prediction


def predict_split(
    split: ScoredSplit,
    output_dir: Path,
    threshold: float,
    num_overlays: int,
    *,
    top_dir: str = "",
) -> Prediction:
    """Writes masks and overlay pictures of a scored split.

    Args:
        split: scores of all its expressions.
        output_dir: gets the folders ``masks`` and ``overlays``.
        threshold: a track is selected when its score is above this.
        num_overlays: expressions drawn, evenly taken from the split.
        top_dir: folder in ``masks`` that holds the videos, "" for none.

    Returns:
        Where everything is, and what was selected.

    Raises:
        ValueError: if tracks and frames do not fit.
    """
    expressions = split.dataset.expressions
    drawn = {id(expressions[idx]) for idx in evenly_spaced(len(expressions), num_overlays)}
    videos = group_by_video(expressions)
    masks_dir = output_dir / MASKS_DIR / top_dir
    overlay_paths: list[Path] = []
    selections: dict[tuple[str, str], tuple[int, ...]] = {}
    with progress(f"masks of {split.dataset.name}/{split.dataset.split}", len(videos)) as advance:
        for video_id, of_video in videos.items():
            tracks = split.sources.read(of_video)
            video = split.dataset.videos[video_id]
            for expression in of_video:
                selected = split.scores.select(expression, threshold)
                union = union_of(tracks, selected, num_frames=len(video.frame_paths))
                write_masks(masks_dir, video, expression, union)
                selections[video_id, expression.expression_id] = tuple(sorted(selected))
                if id(expression) in drawn:
                    path = _overlay_path(output_dir, expression)
                    _draw(path, split, tracks, expression, selected=selected, union=union)
                    overlay_paths.append(path)
            advance("")
    return Prediction(masks_dir, tuple(overlay_paths), selections)


def union_of(tracks: VideoTracks, selected: frozenset[int], *, num_frames: int) -> Masklet:
    """Union of the selected tracks; as many empty masks as the video has frames where none is."""
    if not selected:
        return empty_masklet(num_frames, tracks.size)
    return merge([tracks.masklets[idx] for idx in sorted(selected)])


def _draw(
    path: Path,
    split: ScoredSplit,
    tracks: VideoTracks,
    expression: Expression,
    *,
    selected: frozenset[int],
    union: Masklet,
) -> None:
    """Writes the overlay picture of one expression."""
    video = split.dataset.videos[expression.video_id]
    shown = evenly_spaced(len(video.frame_paths), FRAMES_SHOWN)
    candidates = tracks.candidates[expression.expression_id]
    label = f"selected: {len(selected)} of {len(candidates)} tracks"
    rows = [MaskRow(label, decode([union[idx] for idx in shown]), ORANGE)]
    if split.dataset.has_masks and expression.object_ids is not None:
        scorer = VideoScorer(tracks.masklets, split.dataset.ground_truth(expression.video_id))
        score = scorer.score(selected, expression.object_ids)
        rows[0] = MaskRow(f"{label}, J&F {100 * score.jf:.1f}", rows[0].masks, ORANGE)
        target = scorer.target(expression.object_ids) or empty_masklet(
            len(video.frame_paths), tracks.size
        )
        label = f"ground truth: {_count(len(expression.object_ids))}"
        rows.append(MaskRow(label, decode([target[idx] for idx in shown]), GREEN))
    sheet = contact_sheet(
        [read_frame(video.frame_paths[idx]).astype(np.uint8) for idx in shown],
        rows,
        title=f'"{expression.text.strip()}"',
        caption=f"{split.dataset.name}/{split.dataset.split}, video {expression.video_id}, "
        f"expression {expression.expression_id}",
        frame_names=[video.frame_paths[idx].stem for idx in shown],
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    if not cv2.imwrite(str(path), cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR)):
        raise UserError(f"{path}: could not be written. Check the free disk space.")


def _moved(prediction: Prediction, old_dir: Path, new_dir: Path) -> Prediction:
    """The same after the folder that holds it all was renamed."""
    return replace(
        prediction,
        masks_dir=new_dir / prediction.masks_dir.relative_to(old_dir),
        overlay_paths=tuple(
            new_dir / path.relative_to(old_dir) for path in prediction.overlay_paths
        ),
    )


def _count(num_objects: int) -> str:
    return {0: "no object", 1: "1 object"}.get(num_objects, f"{num_objects} objects")


def _overlay_path(output_dir: Path, expression: Expression) -> Path:
    return output_dir / OVERLAYS_DIR / f"{expression.video_id}_{expression.expression_id}.png"


def _as_json(selected: dict[tuple[str, str], tuple[int, ...]]) -> list[dict[str, Any]]:
    return [
        {"video": video_id, "expression": expression_id, "tracks": list(tracks)}
        for (video_id, expression_id), tracks in selected.items()
    ]
