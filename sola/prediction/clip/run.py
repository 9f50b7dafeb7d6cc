"""What predict.py video=... does: from a user's clip and sentences to masks and overlay videos."""

import dataclasses
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sola.config.entry_points import PredictConfig
from sola.config.progress import progress
from sola.evaluation.run import checkpoint_of, score_split
from sola.evaluation.scored_split import ScoredSplit
from sola.evaluation.staging import publish, start_staging
from sola.evaluation.tracks import TrackSources, VideoTracks
from sola.files import plain, write_json
from sola.generation.job import Share
from sola.generation.recipe import Recipe
from sola.generation.run import make_tracks
from sola.prediction.clip.extraction import Clip, open_clip
from sola.prediction.clip.overlay_video import padding_px, write_overlay
from sola.prediction.clip.split import ClipSplit
from sola.prediction.run import (
    MASKS_DIR,
    OVERLAYS_DIR,
    PREDICTION_FILE,
    RESULTS,
    predict_split,
    union_of,
)
from sola.shards import ShardReader, short_digest, tracks_dir
from sola.types import Expression, Prompt

log = logging.getLogger(__name__)

FORMAT_VERSION = 1
CLIPS_DIR = "clips"


def run_clip(config: PredictConfig) -> Path:
    """Answers sentences about a user's own clip.

    Writes masks, an overlay video for each sentence, scores.json and prediction.json into the
    output folder, in place of those of an earlier run. Each is there when it is complete,
    prediction.json when all are. Frames and tracks are kept for the next question.

    Args:
        config: see ``PredictConfig``; ``video`` is given.

    Returns:
        Path of prediction.json.

    Raises:
        ValueError: if the clip cannot be read, or something is missing or does not fit.
    """
    assert config.video is not None, "validated before"
    recipes = [_recipe(config, source) for source in config.sources]
    for recipe in recipes:
        recipe.check()
    # before hours of tracking
    if config.ckpt_path is not None:
        checkpoint_of(config).load(recipes[0].describe_tracker(), f"tracker={config.tracker.name}")
    clips_dir = Path(config.paths.data_dir) / CLIPS_DIR
    clip = open_clip(Path(config.video).expanduser(), clips_dir)
    split = ClipSplit(clip, clips_dir, config.expressions)
    quoted = ", ".join(f'"{expression.text}"' for expression in split.expressions)
    log.info("%d sentences: %s", len(split.expressions), quoted)
    readers = [_make_tracks(recipe, split, clips_dir, config) for recipe in recipes]
    entries = [entry for reader in readers for entry in reader.index["entries"].values()]
    if not any(entry["num_tracks"] for entry in entries):
        log.warning("%s: nothing was found in it, all masks are empty", clip.source)
    scored = score_split(config, split, TrackSources(readers))
    output_dir = Path(config.paths.output_dir)
    staging_dir = start_staging(output_dir, RESULTS)
    _write_answers(scored, clip, staging_dir, config.threshold)
    publish(staging_dir, RESULTS)
    for expression in split.expressions:
        log.info("%s: %s", output_dir / _overlay_name(expression), expression.text)
    if any(padding_px(clip).values()):
        log.info("overlays: padded by a white row or column, as H.264 needs even sizes")
    log.info("%s: tracks, scores and selections", output_dir / PREDICTION_FILE)
    return output_dir / PREDICTION_FILE


def _recipe(config: PredictConfig, source: str) -> Recipe:
    return Recipe(
        config.prompt_sources[source],
        config.tracker,
        config.trainer,
        config.seed,
        num_threads=config.num_threads,
    )


def _make_tracks(
    recipe: Recipe, split: ClipSplit, clips_dir: Path, config: PredictConfig
) -> ShardReader:
    """Tracks of the clip; only those of boxes depend on what is asked.

    Each way to make them has a folder of its own, so that none is in another's way.
    """
    shown = split if recipe.source.is_by_expression else ClipSplit(split.clip, clips_dir)
    data_dir = Path(config.paths.data_dir)
    source, tracker = recipe.source.name, recipe.tracker.name
    folder = tracks_dir(data_dir, split.name, split.split, source, tracker)
    folder /= short_digest(recipe.describe_tracks(shown))
    make_tracks(recipe, shown, data_dir, folder, may_be_empty=True, share=Share(is_strict=True))
    return ShardReader(folder)


def _write_answers(split: ScoredSplit, clip: Clip, folder: Path, threshold: float) -> None:
    """Masks, overlay videos and prediction.json."""
    expressions = split.dataset.expressions
    selected = predict_split(split, folder, threshold, num_overlays=0).selected
    tracks = split.sources.read(expressions)
    video = split.dataset.videos[clip.clip_id]
    answers = []
    with progress("overlay videos", len(expressions)) as advance:
        for expression in expressions:
            chosen = selected[clip.clip_id, expression.expression_id]
            union = union_of(tracks, frozenset(chosen), num_frames=clip.num_frames)
            answers.append(_describe_answer(split, expression, chosen))
            write_overlay(
                folder / _overlay_name(expression),
                clip,
                video,
                union,
                title=f'"{expression.text.strip()}"',
                caption=_caption(chosen, split.scores.of(expression).tracks, threshold),
            )
            advance("")
    content = {
        "format_version": FORMAT_VERSION,
        "provenance": split.provenance,
        "threshold": threshold,
        "clip": dataclasses.asdict(clip) | {"frames": [p.stem for p in video.frame_paths]},
        "overlay_padding_px": padding_px(clip),
        "expressions": answers,
        "tracks": _describe_tracks(tracks),
    }
    write_json(folder / PREDICTION_FILE, plain(content))


def _caption(chosen: Sequence[int], candidates: Sequence[int], threshold: float) -> str:
    if not chosen:
        return f"nothing selected: none of {len(candidates)} tracks scores above {threshold:g}"
    return f"{len(chosen)} of {len(candidates)} tracks selected"


def _describe_answer(
    split: ScoredSplit, expression: Expression, chosen: tuple[int, ...]
) -> dict[str, Any]:
    """What is said of one sentence; tracks are indices among those of the clip."""
    scores = split.scores.of(expression)
    return {
        "id": expression.expression_id,
        "text": expression.text,
        "tracks": scores.tracks,
        "scores": scores.by_text[expression.expression_id].tolist(),
        "selected": chosen,
        "masks": f"{MASKS_DIR}/{expression.video_id}/{expression.expression_id}",
        "overlay": _overlay_name(expression),
    }


def _describe_tracks(tracks: VideoTracks) -> list[dict[str, Any]]:
    return [
        {"expression": made_for or None, "prompt": _describe_prompt(prompt), "masks": masklet}
        for made_for, prompt, masklet in zip(
            tracks.made_for, tracks.prompts, tracks.masklets, strict=True
        )
    ]


def _describe_prompt(prompt: Prompt) -> dict[str, Any]:
    return {
        "source": prompt.source,
        "frame": prompt.frame_idx,
        "area": prompt.area,
        "predicted_iou": prompt.predicted_iou,
        "stability_score": prompt.stability_score,
        "box": prompt.box,
        "phrase": prompt.phrase,
        "token_scores": prompt.token_scores,
    }


def _overlay_name(expression: Expression) -> str:
    return f"{OVERLAYS_DIR}/{expression.video_id}_{expression.expression_id}.mp4"
