"""Run predict.py video=...: write masks and overlay videos for a clip and sentences."""

import dataclasses
import hashlib
import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from sola.config.console import progress
from sola.config.entry_points import PredictConfig
from sola.datasets import Split
from sola.datasets.frames import VideoFrames
from sola.errors import UserError
from sola.evaluation.run import load_trained, score_split
from sola.evaluation.scores import ScoredSplit
from sola.evaluation.tracks import TrackSources
from sola.files import plain, whole_results, write_json
from sola.generation.generator import Recipe
from sola.generation.job import Share
from sola.generation.run import make_recipe, make_tracks
from sola.masks import decode
from sola.prediction.clip.footage import Clip, open_clip
from sola.prediction.run import MASKS_DIR, OVERLAYS_DIR, PREDICTION_FILE, RESULTS, answer
from sola.shards import ShardReader, short_digest, tracks_dir
from sola.types import Expression, Masklet, Prompt, Video
from sola.visualization.overlays import ORANGE, draw_masks
from sola.visualization.videos import write_mp4

log = logging.getLogger(__name__)

FORMAT_VERSION = 1
CLIPS_DIR = "clips"  # cached frames, in the data folder
DATASET_NAME = "clips"  # a data set with one split per clip
NOT_IN_RECORD = ("frame_idx", "mask", "object_id")  # fields of a prompt left out of the record


class ClipSplit(Split):
    """A clip and sentences about it, as a split of a data set.

    Args:
        clip: a clip whose frames are on disk.
        clips_dir: folder of the clips.
        texts: sentences about the clip; their indices are their ids.
    """

    def __init__(self, clip: Clip, clips_dir: Path, texts: Sequence[str] = ()) -> None:
        self.clip, self.name, self.split = clip, DATASET_NAME, clip.clip_id
        self.split_dir = clips_dir / clip.clip_id
        self.videos = {clip.clip_id: clip.video(clips_dir)}
        self.expressions = [
            Expression(clip.clip_id, str(idx), text, object_ids=None)
            for idx, text in enumerate(texts)
        ]

    @property
    def has_masks(self) -> bool:
        """Whether the split has ground truth: never."""
        return False

    @property
    def annotations_sha256(self) -> dict[str, str]:
        """SHA-256 of the frames and, if there are sentences, of the sentences."""
        texts = [expression.text for expression in self.expressions]
        of_texts = hashlib.sha256(json.dumps(texts).encode()).hexdigest()
        return {"frames": self.clip.frames_sha256} | ({"expressions": of_texts} if texts else {})

    def ground_truth(self, video_id: str) -> dict[str, Masklet]:
        """Return an empty dictionary."""
        return {}


def run_clip(config: PredictConfig) -> Path:
    """Answer sentences about a user's own clip.

    Writes masks, an overlay video for each sentence, scores.json and prediction.json into the
    output folder, replacing those of an earlier run. Each appears once it is complete, and
    prediction.json appears last. Frames and tracks are cached for later runs.

    Args:
        config: a configuration with a ``video``.

    Returns:
        Path of prediction.json.

    Raises:
        UserError: if the clip cannot be read, or a file is missing or does not match.
    """
    if config.num_threads:
        torch.set_num_threads(config.num_threads)
    texts = read_sentences(config)
    recipes = [make_recipe(config.prompt_sources[source], config) for source in config.sources]
    if config.ckpt_path is not None:  # before hours of tracking
        load_trained(config, recipes[0].describe_tracker(), f"tracker={config.tracker.name}")
    clips_dir = Path(config.paths.data_dir) / CLIPS_DIR
    clip = open_clip(Path(config.video or "").expanduser(), clips_dir)
    split = ClipSplit(clip, clips_dir, texts)
    quoted = ", ".join(f'"{text}"' for text in texts)
    log.info("%d sentences: %s", len(split.expressions), quoted)
    readers = [_make_tracks(recipe, split, config) for recipe in recipes]
    entries = [entry for reader in readers for entry in reader.index["entries"].values()]
    if not any(entry["num_tracks"] for entry in entries):
        log.warning("%s: no prompt source found an object, all masks are empty", clip.source)
    scored = score_split(config, split, TrackSources(readers))
    output_dir = Path(config.paths.output_dir)
    with whole_results(output_dir, RESULTS) as unfinished:
        _write_answers(scored, clip, unfinished)
    for expression in split.expressions:
        log.info("%s: %s", output_dir / _overlay_name(expression), expression.text)
    log.info("%s: tracks, scores and selections", output_dir / PREDICTION_FILE)
    return output_dir / PREDICTION_FILE


def read_sentences(config: PredictConfig) -> list[str]:
    """Return the sentences about a clip, from the configuration or their file.

    Raises:
        UserError: if the file is no text in UTF-8, or has no sentence.
    """
    if config.expressions_file is None:
        return [config.expression] if config.expression else config.expressions
    path = Path(config.expressions_file).expanduser()
    try:
        lines = path.read_text("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: is no text in UTF-8. Save it as UTF-8.") from error
    texts = [line.strip() for line in lines if line.strip()]
    if not texts:
        raise UserError(f"{path}: has no sentences. Write one on each line.")
    return texts


def _make_tracks(recipe: Recipe, split: ClipSplit, config: PredictConfig) -> ShardReader:
    """Make the tracks of the clip, which depend on the sentences only if a source reads them.

    Tracks of different settings go to different folders, named by a digest of the settings.
    """
    data_dir, source = Path(config.paths.data_dir), recipe.source
    shown = split if source.is_by_expression else ClipSplit(split.clip, data_dir / CLIPS_DIR)
    folder = tracks_dir(data_dir, split.name, split.split, source.name, recipe.tracker.name)
    folder /= short_digest(recipe.describe_tracks(shown))
    share = Share(is_strict=True)
    make_tracks(recipe, shown, data_dir, folder, config.trainer, may_be_empty=True, share=share)
    return ShardReader(folder)


def _write_answers(split: ScoredSplit, clip: Clip, folder: Path) -> None:
    """Write masks, overlay videos and prediction.json."""
    expressions, video = split.dataset.expressions, split.dataset.videos[clip.clip_id]
    selected = answer(split, folder / MASKS_DIR)
    tracks = split.sources.read(expressions)
    answers = []
    with progress("overlay videos", len(expressions)) as advance:
        for expression in expressions:
            chosen = selected[clip.clip_id, expression.expression_id]
            row, overlay = split.scores.row(expression), _overlay_name(expression)
            caption = f"{len(chosen)} of {len(row)} tracks score above {split.threshold:g}"
            heading = [f'"{expression.text.strip()}"', caption]
            write_overlay(folder / overlay, clip, video, tracks.union(chosen), heading)
            answers.append(
                {
                    "id": expression.expression_id,
                    "text": expression.text,
                    "tracks": list(row),
                    "scores": list(row.values()),
                    "selected": chosen,
                    "masks": f"{MASKS_DIR}/{expression.video_id}/{expression.expression_id}",
                    "overlay": overlay,
                }
            )
            advance("")
    all_tracks = zip(tracks.made_for, tracks.prompts, tracks.masklets, strict=True)
    content = {
        "format_version": FORMAT_VERSION,
        "provenance": split.provenance,
        "threshold": split.threshold,
        "clip": dataclasses.asdict(clip) | {"frames": [p.stem for p in video.frame_paths]},
        "overlay_padding_px": {"right": clip.width % 2, "bottom": clip.height % 2},
        "expressions": answers,
        "tracks": [
            {"expression": made_for or None, "prompt": _describe(prompt), "masks": masklet}
            for made_for, prompt, masklet in all_tracks
        ],
    }
    write_json(folder / PREDICTION_FILE, plain(content))


def _describe(prompt: Prompt) -> dict[str, Any]:
    found = {"frame": prompt.frame_idx, **dataclasses.asdict(prompt)}
    return {name: value for name, value in found.items() if name not in NOT_IN_RECORD}


def _overlay_name(expression: Expression) -> str:
    return f"{OVERLAYS_DIR}/{expression.video_id}_{expression.expression_id}.mp4"


def write_overlay(
    path: Path, clip: Clip, video: Video, union: Masklet, heading: Sequence[str]
) -> None:
    """Write an mp4 that shows each frame with its mask at the clip's time, below a heading.

    Args:
        path: path of the mp4.
        clip: gives the size and the times.
        video: frames of the clip.
        union: T masks to draw.
        heading: the sentence, and a line below it.
    """
    frames = zip(VideoFrames(video), union, strict=True)
    pictures = (draw_masks(frame, decode([code])[0], ORANGE) for frame, code in frames)
    times_s, size = (*clip.times_s, clip.end_s), (clip.height, clip.width)
    write_mp4(path, pictures, times_s, size=size, fps=clip.fps, heading=heading)
