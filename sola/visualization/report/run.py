"""Write the report of an evaluation."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sola.config.entry_points import EvaluateConfig
from sola.config.progress import progress
from sola.evaluation.comparison import check_same_split, compare, read_run
from sola.evaluation.protocol import ALL_TRACKS, ORACLE, SELECTION
from sola.evaluation.scored_split import SCORES_FILE, open_sources, open_split
from sola.evaluation.scores import Scores, group_by_video
from sola.evaluation.staging import publish, start_staging
from sola.files import read_json
from sola.metrics.labels import count_pixels, track_labels
from sola.visualization.plots import METRICS_FILE, draw_report_plots, read_metrics
from sola.visualization.report.page import PAGE, write_page
from sola.visualization.videos import (
    frames_per_video,
    show_video,
    write_thumbnail,
    write_video,
)

log = logging.getLogger(__name__)

REPORT_DIR = "report"
SHOWN = ("video", "expression", "text", "kind", "objects", "groups")


def check_other_run(config: EvaluateConfig) -> None:
    """Check the run that a report is to compare with, before anything is measured.

    Raises:
        UserError: if there is no such run, or it is of another split.
    """
    if config.report_against is not None:
        own = {"run": "this run", "dataset": config.dataset.name, "split": config.split}
        check_same_split(read_run(Path(config.report_against)), own)


def run_report(config: EvaluateConfig, evaluation: Mapping[str, Any]) -> Path:
    """Write the report of a selector's evaluation beside evaluation.json.

    It replaces an older report once it is complete. Training curves come from the metrics.csv in
    the checkpoint's folder, if there is one.

    Args:
        config: of the evaluation, whose scores.json is in the output folder.
        evaluation: content of evaluation.json.

    Returns:
        Its index.html.

    Raises:
        UserError: if something is missing or does not fit.
    """
    output_dir = Path(config.paths.output_dir)
    scores = Scores.from_json(read_json(output_dir / SCORES_FILE, "Run evaluate.py again."))
    comparison, others = None, {}
    if config.report_against is not None:
        other, own = read_run(Path(config.report_against)), {**evaluation, "run": str(output_dir)}
        comparison, others = compare(other, own, SELECTION), answers_of(other, evaluation)
    metrics = read_metrics(Path(config.ckpt_path or "").parent / METRICS_FILE)
    training = (evaluation.get("checkpoint") or {}).get("training") or {}
    label_iou = training.get("data", {}).get("label_iou", 0.7)
    empty_frames = training.get("data", {}).get("empty_frames", "count")
    dataset, sources = open_split(config), open_sources(config)
    by_video = group_by_video(dataset.expressions)
    entries = {(each["video"], each["expression"]): each for each in evaluation["expressions"]}
    rows: list[dict[str, Any]] = []
    all_scores: dict[bool, list[float]] = {True: [], False: []}
    staging_dir = start_staging(output_dir, [REPORT_DIR])
    folder = staging_dir / REPORT_DIR
    with progress("report", len(by_video)) as advance:
        for number, expressions in enumerate(by_video.values()):
            tracks = sources.read(expressions)
            video, objects = dataset.videos[tracks.video_id], dataset.ground_truth(tracks.video_id)
            num_frames = frames_per_video(len(by_video))
            shown = show_video(video, tracks.size, num_frames, tracks.masklets, objects)
            pixels = count_pixels(tracks.masklets, objects, len(video.frame_paths))
            by_expression = {}
            for expression in expressions:
                labels = track_labels(pixels, expression.object_ids or (), label_iou, empty_frames)
                scored = sorted(scores.row(expression).items(), key=lambda item: -item[1])
                for track, score in scored:
                    all_scores[bool(labels[track])].append(score)
                by_expression[expression.expression_id] = [
                    [track, round(score, 5), bool(labels[track])] for track, score in scored
                ]
                key = expression.video_id, expression.expression_id
                answers = {name: entries[key]["answers"][name] for name in (SELECTION, ORACLE)}
                path = folder / "thumbs" / f"{len(rows)}.jpg"
                selected = answers[SELECTION]["tracks"]
                write_thumbnail(path, shown, expression.object_ids or (), selected)
                if others:
                    answers["other"] = others[key]
                row = {name: entries[key][name] for name in SHOWN}
                rows.append({**row, "file": number, "answers": answers})
            write_video(folder, number, shown, tracks, by_expression)
            advance("")
    figures = draw_report_plots(evaluation, all_scores[True], all_scores[False], metrics)
    write_page(folder, evaluation, figures, rows, label_iou=label_iou, comparison=comparison)
    publish(staging_dir, [REPORT_DIR])
    page = output_dir / REPORT_DIR / PAGE
    log.info("%s: the report, for any browser", page)
    return page


def answers_of(other: Mapping[str, Any], own: Mapping[str, Any]) -> dict[tuple[str, str], Any]:
    """Return the selections of another run, without tracks if they are not the tracks of this run.

    Args:
        other: content of evaluation.json of the other run.
        own: the same of this run, on the same expressions.

    Returns:
        (video id, expression id) -> scores, and "tracks" or None.
    """
    is_same = _made_by(other) == _made_by(own)
    all_tracks = {
        (e["video"], e["expression"]): e["answers"][ALL_TRACKS] for e in own["expressions"]
    }
    found = {}
    for entry in other["expressions"]:
        key, answers = (entry["video"], entry["expression"]), entry["answers"]
        has_tracks = is_same and answers.get(ALL_TRACKS) == all_tracks[key]
        tracks = answers[SELECTION]["tracks"] if has_tracks else None
        found[key] = {**answers[SELECTION], "tracks": tracks}
    return found


def _made_by(run: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What the tracks of two runs share if they are the same."""
    return [
        {k: v for k, v in tracks.items() if k in ("source", "tracker") or "_sha256" in k}
        for tracks in run.get("tracks", ())
    ]
