"""Run predict.py on a split: write masks for every expression, and overlays of some."""

import logging
from pathlib import Path

from PIL import Image

from sola.config.console import progress
from sola.config.entry_points import PredictConfig
from sola.datasets.frames import read_frame
from sola.evaluation.run import open_sources, open_split, score_split
from sola.evaluation.scores import SCORES_FILE, ScoredSplit, group_by_video
from sola.files import whole_results, write_json
from sola.masks import decode, empty_masklet, merge
from sola.prediction.coco import COCO_FILE, Selections, write_coco
from sola.prediction.submission import write_masks, write_submission
from sola.types import Expression, Masklet
from sola.visualization.overlays import GREEN, ORANGE, MaskRow, contact_sheet, evenly_spaced

log = logging.getLogger(__name__)

MASKS_DIR = "masks"
OVERLAYS_DIR = "overlays"
PREDICTION_FILE = "prediction.json"
SUBMISSION_FILE = "submission.zip"
# results of an earlier run are removed in this order; the first is published last
RESULTS = (PREDICTION_FILE, SUBMISSION_FILE, COCO_FILE, MASKS_DIR, OVERLAYS_DIR)
FRAMES_SHOWN = 6  # frames in an overlay picture, evenly spaced in the video


def run_predict(config: PredictConfig) -> Path:
    """Answer every expression of a split.

    Writes masks in the layout of a submission, overlay pictures, scores.json, prediction.json and,
    if configured, submission.zip and masks.coco.json into the output folder, replacing those of an
    earlier run. Each appears once it is complete, and prediction.json appears last. Ground truth is
    optional; the overlays show it if it exists.

    Returns:
        Path of prediction.json.

    Raises:
        UserError: if a file is missing or does not match.
    """
    split = score_split(config, open_split(config), open_sources(config))
    output_dir, top_dir = Path(config.paths.output_dir), config.dataset.submission_top_dir
    with whole_results(output_dir, RESULTS) as unfinished:
        selected = answer(split, unfinished / MASKS_DIR / top_dir)
        for idx in evenly_spaced(len(split.dataset.expressions), config.num_overlays):
            expression = split.dataset.expressions[idx]
            name = f"{expression.video_id}_{expression.expression_id}.png"
            _draw(unfinished / OVERLAYS_DIR / name, split, expression)
            log.info("%s: overlay", output_dir / OVERLAYS_DIR / name)
        if config.submission:
            zip_path = unfinished / SUBMISSION_FILE
            write_submission(unfinished / MASKS_DIR, zip_path, split.dataset, top_dir)
        if "coco" in config.export:
            write_coco(unfinished / COCO_FILE, split, selected)
        record = {
            **split.provenance,
            "threshold": split.threshold,
            "scores": SCORES_FILE,  # describes the tracks that the indices refer to
            "expressions": [
                {"video": video_id, "expression": expression_id, "tracks": list(tracks)}
                for (video_id, expression_id), tracks in selected.items()
            ],
        }
        write_json(unfinished / PREDICTION_FILE, record)
    num_empty = sum(not tracks for tracks in selected.values())
    masks_dir = output_dir / MASKS_DIR / top_dir
    log.info("%s: masks of %d expressions, %d of them empty", masks_dir, len(selected), num_empty)
    if config.submission:
        log.info("%s: complete, no faults", output_dir / SUBMISSION_FILE)
    if "coco" in config.export:
        log.info("%s: masks in COCO's format", output_dir / COCO_FILE)
    return output_dir / PREDICTION_FILE


def answer(split: ScoredSplit, masks_dir: Path) -> Selections:
    """Write the masks of every expression of a scored split.

    Args:
        split: a split with scores of all its expressions.
        masks_dir: folder to write to, one subfolder per video.

    Returns:
        The selected tracks of each expression.

    Raises:
        UserError: if tracks are missing or damaged.
    """
    videos, found = group_by_video(split.dataset.expressions), Selections()
    with progress(f"masks of {split.dataset.name}/{split.dataset.split}", len(videos)) as advance:
        for video_id, expressions in videos.items():
            tracks, video = split.sources.read(expressions), split.dataset.videos[video_id]
            for expression in expressions:
                selected = split.scores.select(expression, split.threshold)
                write_masks(masks_dir, video, expression, tracks.union(selected))
                found[video_id, expression.expression_id] = selected
            advance("")
    return found


def _draw(path: Path, split: ScoredSplit, expression: Expression) -> None:
    """Write the overlay picture of one expression."""
    dataset, video_id = split.dataset, expression.video_id
    paths = dataset.videos[video_id].frame_paths
    tracks = split.sources.read([e for e in dataset.expressions if e.video_id == video_id])
    selected = split.scores.select(expression, split.threshold)
    shown = evenly_spaced(len(paths), FRAMES_SHOWN)

    def row(label: str, masklet: Masklet, colour: tuple[int, int, int]) -> MaskRow:
        return MaskRow(label, decode([masklet[idx] for idx in shown]), colour)

    label = f"selected: {len(selected)} of {len(split.scores.row(expression))} tracks"
    rows = [row(label, tracks.union(selected), ORANGE)]
    if dataset.has_masks and expression.object_ids is not None:
        truth = dataset.ground_truth(video_id)
        meant = merge([truth[object_id] for object_id in expression.object_ids])
        meant = meant or empty_masklet(len(paths), tracks.size)
        rows.append(row(f"ground truth: {len(expression.object_ids)} objects", meant, GREEN))
    where = f"{dataset.name}/{dataset.split}, video {video_id}"
    frames = ", ".join(paths[idx].stem for idx in shown)
    caption = f"{where}, expression {expression.expression_id}, frames {frames}"
    heading = [f'"{expression.text.strip()}"', caption]
    sheet = contact_sheet([read_frame(paths[idx]) for idx in shown], rows, heading)
    path.parent.mkdir(exist_ok=True)
    Image.fromarray(sheet).save(path)
