"""From the files of an evaluation to its report."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sola.config.entry_points import EvaluateConfig
from sola.config.progress import progress
from sola.datasets import Split
from sola.evaluation.measure import SELECTION
from sola.evaluation.run import SCORES_FILE, open_sources, open_split
from sola.evaluation.scores import Scores, group_by_video
from sola.evaluation.staging import publish, start_staging
from sola.evaluation.tracks import TrackSources, VideoTracks
from sola.files import read_json
from sola.metrics.labels import count_pixels, track_labels
from sola.types import Expression
from sola.visualization.report.against import compare_with
from sola.visualization.report.page import PAGE, entry_of, write_page
from sola.visualization.report.plots import METRICS_FILE, charts_of, read_metrics
from sola.visualization.report.videos import (
    frames_a_video,
    show_video,
    write_thumbnail,
    write_video,
)

log = logging.getLogger(__name__)

REPORT_DIR = "report"


def run_report(config: EvaluateConfig, evaluation: Mapping[str, Any]) -> Path:
    """Writes the report of a selector's evaluation beside evaluation.json.

    In place of that of an earlier run, and there only when it is complete. Training curves are
    those of the checkpoint's folder, where it has a metrics.csv.

    Args:
        config: of the evaluation, whose scores.json is in the output folder.
        evaluation: what evaluation.json holds.

    Returns:
        Its index.html.

    Raises:
        ValueError: if something is missing or does not fit.
    """
    output_dir = Path(config.paths.output_dir)
    scores = Scores.from_json(read_json(output_dir / SCORES_FILE, "Run evaluate.py again."))
    comparison = None
    if config.report_against is not None:
        comparison = compare_with(Path(config.report_against), evaluation, output_dir)
    metrics = read_metrics(Path(config.ckpt_path or "").parent / METRICS_FILE)
    staging_dir = start_staging(output_dir, [REPORT_DIR])
    builder = _Builder(staging_dir / REPORT_DIR, open_split(config), scores, evaluation)
    builder.write(open_sources(config), metrics, comparison)
    publish(staging_dir, [REPORT_DIR])
    page = output_dir / REPORT_DIR / PAGE
    log.info("%s: the report, for any browser", page)
    return page


class _Builder:
    """Writes a report video by video, and gathers what the page needs of all."""

    def __init__(
        self, folder: Path, dataset: Split, scores: Scores, evaluation: Mapping[str, Any]
    ) -> None:
        self.folder, self.dataset = folder, dataset
        self.scores, self.evaluation = scores, evaluation
        training = (evaluation.get("checkpoint") or {}).get("training") or {}
        data = training.get("data") or {}
        self.label_iou = data.get("label_iou", 0.7)
        self.empty_frames = data.get("empty_frames", "count")
        self.entries = {(e["video"], e["expression"]): e for e in evaluation["expressions"]}
        self.rows: list[dict[str, Any]] = []
        self.right: list[float] = []
        self.wrong: list[float] = []

    def write(
        self,
        sources: TrackSources,
        metrics: Mapping[str, Any],
        comparison: Mapping[str, Any] | None,
    ) -> None:
        videos = group_by_video(self.dataset.expressions)
        num_frames = frames_a_video(len(videos))
        (self.folder / "thumbs").mkdir(parents=True)
        with progress("report", len(videos)) as advance:
            for number, expressions in enumerate(videos.values()):
                self._write_video(number, expressions, sources.read(expressions), num_frames)
                advance("")
        right, wrong = (np.array(scores, np.float32) for scores in (self.right, self.wrong))
        charts = charts_of(self.evaluation, right, wrong, metrics)
        write_page(
            self.folder,
            self.evaluation,
            charts,
            self.rows,
            label_iou=self.label_iou,
            comparison=comparison,
        )

    def _write_video(
        self, number: int, expressions: list[Expression], tracks: VideoTracks, num_frames: int
    ) -> None:
        video = self.dataset.videos[tracks.video_id]
        ground_truth = self.dataset.ground_truth(tracks.video_id)
        labels = count_pixels(tracks.masklets, ground_truth, len(video.frame_paths))
        scored = {}
        for expression in expressions:
            is_right = track_labels(
                labels, expression.object_ids or (), self.label_iou, self.empty_frames
            )
            scored[expression.expression_id] = self._scores_of(expression, is_right)
        shown = show_video(number, video, tracks, ground_truth, num_frames)
        frames = write_video(self.folder, shown, scored)
        for expression in expressions:
            entry = self.entries[expression.video_id, expression.expression_id]
            path = self.folder / "thumbs" / f"{len(self.rows)}.jpg"
            selected = entry["answers"][SELECTION]["tracks"]
            write_thumbnail(path, shown, frames, expression, selected)
            self.rows.append(entry_of(entry, number))

    def _scores_of(self, expression: Expression, is_right: NDArray[np.bool_]) -> list[Any]:
        """[track, score, whether it is right] of each, the highest score first."""
        row = self.scores.row(expression)
        for track, score in row.items():
            (self.right if is_right[track] else self.wrong).append(score)
        by_score = sorted(row.items(), key=lambda item: -item[1])
        return [[track, round(score, 5), bool(is_right[track])] for track, score in by_score]
