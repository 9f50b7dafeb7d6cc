"""Run predict.py video=...: write masks and overlay videos for a clip and sentences."""

import hashlib
import json
import logging
from collections.abc import Sequence
from pathlib import Path

import torch

from sola.config.device import pick_device
from sola.config.entry_points import PredictConfig
from sola.datasets import Split
from sola.errors import UserError
from sola.evaluation.run import load_trained, score_split
from sola.evaluation.tracks import TrackSources
from sola.files import whole_results
from sola.generation.generator import Recipe
from sola.generation.job import Share
from sola.generation.run import make_recipe, make_tracks
from sola.prediction.clip.answers import AnsweredFrames, print_answers, write_answers
from sola.prediction.clip.command_line import CPU_TRACKER
from sola.prediction.clip.footage import Clip, open_clip
from sola.prediction.run import PREDICTION_FILE, RESULTS
from sola.shards import ShardReader, short_digest, tracks_dir
from sola.types import Expression, Masklet

log = logging.getLogger(__name__)

CLIPS_DIR = "clips"  # cached frames, in the data folder
DATASET_NAME = "clips"  # a data set with one split per clip
SMALL_TRACKER = "small"
# CPU seconds of SAM 2.1 tiny and GroundingDINO tiny, with random weights at 854 x 480 px: to encode
# a frame, to follow an object on it, and to search it (every 4th frame is searched)
ENCODE_S, TRACK_S, DETECT_S = 5.5, 5.5, 29 / 4


class ClipSplit(Split):
    """A clip and sentences about it, as a split of a data set.

    Args:
        clip: a clip whose tracked frames are on disk.
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
    clip = open_clip(Path(config.video or "").expanduser(), clips_dir, config.clip)
    split = ClipSplit(clip, clips_dir, texts)
    quoted = ", ".join(f'"{text}"' for text in texts)
    log.info("%d sentences: %s", len(split.expressions), quoted)
    device = pick_device(str(config.trainer.node.get("accelerator", "auto"))).type
    if config.tracker.name == SMALL_TRACKER:
        log.warning(
            "tracker=small knows small coloured shapes only: expect useless masks of others"
        )
    if device == "cpu" and config.tracker.name == CPU_TRACKER:
        log.info("%s", _estimate(len(clip.tracked), len(texts)))
    readers = [_make_tracks(recipe, split, config) for recipe in recipes]
    entries = [entry for reader in readers for entry in reader.index["entries"].values()]
    if not any(entry["num_tracks"] for entry in entries):
        log.warning("%s: no prompt source found an object, all masks are empty", clip.source)
    scored = score_split(config, split, TrackSources(readers))
    scored.provenance["device"] = device
    output_dir, shown = Path(config.paths.output_dir), AnsweredFrames(clip, config.clip.between)
    with whole_results(output_dir, RESULTS) as unfinished:
        write_answers(scored, shown, unfinished, has_coco="coco" in config.export)
    print_answers(scored, output_dir)
    log.info("%s: tracks, scores and selections", output_dir / PREDICTION_FILE)
    return output_dir / PREDICTION_FILE


def read_sentences(config: PredictConfig) -> list[str]:
    """Return the sentences about a clip, from the configuration or their file.

    Raises:
        UserError: if the file is not UTF-8 text, or has no sentence.
    """
    if config.expressions_file is None:
        return [config.expression] if config.expression else config.expressions
    path = Path(config.expressions_file).expanduser()
    try:
        lines = path.read_text("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: is not UTF-8 text. Save it as UTF-8.") from error
    texts = [line.strip() for line in lines if line.strip()]
    if not texts:
        raise UserError(f"{path}: has no sentences. Write one on each line.")
    return texts


def _estimate(num_frames: int, num_sentences: int) -> str:
    """Return a line that says how long the CPU will need."""
    seconds = num_frames * (ENCODE_S + num_sentences * (TRACK_S + DETECT_S))
    minutes, threads = seconds / torch.get_num_threads() / 60, torch.get_num_threads()
    return (
        f"no GPU: tracker={CPU_TRACKER} needs about {minutes:.0f} min for {num_frames} frames on "
        f"{threads} threads, if each sentence has one object (an estimate). Fewer frames: "
        "clip.max_frames, clip.max_fps"
    )


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
