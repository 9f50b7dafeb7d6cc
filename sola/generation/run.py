"""What generate.py does: tracks of every video of a split, skipping those that are there."""

import dataclasses
import logging
import math
from datetime import timedelta
from pathlib import Path
from typing import cast

import pytorch_lightning as pl
import torch
from pytorch_lightning.strategies import DDPStrategy

from sola.config.progress import progress
from sola.config.schema import DatasetConfig, GenerateConfig, TrainerConfig
from sola.datasets import Split, open_dataset
from sola.datasets.moving_shapes.maker import write_split
from sola.generation.module import TrackGenerator, VideoDataset, VideoReport
from sola.generation.recipe import Recipe
from sola.generation.summary import of_all_processes, show_summary
from sola.shards import PromptStore, ShardWriter, prompts_dir, tracks_dir
from sola.tracking.builder import build_tracker
from sola.tracking.compiled import compile_parts
from sola.tracking.propagation import SAM2Base
from sola.types import Video

log = logging.getLogger(__name__)

PATIENCE = timedelta(days=2)
"""How long a process that is done waits for the others, whose videos may be longer."""


def run_generation(config: GenerateConfig) -> Path:
    """Make the tracks that a configuration asks for.

    Returns:
        Folder of the finished shards.

    Raises:
        ValueError: if the data set or the checkpoint is missing, a GPU is asked for and none is
            there, or tracks made with other settings are in the way.
    """
    tracker = dataclasses.replace(
        config.tracker, checkpoint=config.checkpoint or config.tracker.checkpoint
    )
    recipe = Recipe(config.prompt_source, tracker, config.trainer, config.seed, config.token_dtype)
    recipe.check()
    make_dataset(config.dataset, config.split)
    dataset = open_dataset(config.dataset, config.split)
    if config.prompt_source.name == "gt" and not dataset.has_masks:
        raise ValueError(
            f"{dataset.split_dir}: split {config.split} has no ground truth to prompt with. "
            f"Use prompt_source=grid."
        )
    folder = tracks_dir(
        Path(config.paths.data_dir),
        config.dataset.name,
        config.split,
        config.prompt_source.name,
        tracker.name,
    )
    make_tracks(
        recipe,
        dataset,
        Path(config.paths.data_dir),
        folder,
        is_training_split=config.split == config.dataset.train_split,
    )
    return folder


def make_tracks(
    recipe: Recipe,
    dataset: Split,
    data_dir: Path,
    folder: Path,
    *,
    is_training_split: bool = False,
) -> None:
    """Make the tracks of a split, where they are not there yet.

    Args:
        recipe: how, checked.
        dataset: the split.
        data_dir: keeps the prompts that are found.
        folder: for the shards.
        is_training_split: grid prompts more frames of these.

    Raises:
        ValueError: if tracks made with other settings are in the folder, or frames are unreadable.
    """
    pl.seed_everything(recipe.seed, verbose=False)
    if recipe.trainer.num_threads:
        torch.set_num_threads(recipe.trainer.num_threads)
    writer = ShardWriter(folder, recipe.describe_tracks(dataset))
    if writer.is_finished:
        log.info("%s: %d videos are there already, nothing to do", folder, len(dataset.videos))
        return
    entries = _entries(recipe, dataset)
    unstaged = {entry[0] for entry in entries if not writer.has(*entry)}
    missing = [video for video in dataset.videos.values() if video.video_id in unstaged]
    num_videos = len({entry[0] for entry in entries})  # some may have no expressions
    if len(missing) < num_videos:
        log.info("%d of %d videos are there already", num_videos - len(missing), num_videos)
    trainer = _make_trainer(recipe.trainer)
    if missing:
        found_by = recipe.describe_prompts(dataset)
        store = PromptStore(prompts_dir(data_dir, found_by), found_by)
        _track_videos(recipe, trainer, dataset, writer, store, missing, is_training_split)
    trainer.strategy.barrier()  # all processes have staged their videos; one of them packs
    if not trainer.is_global_zero:
        return
    writer.finish(entries)
    log.info("%s: tracks of %d videos", folder, num_videos)


def make_dataset(config: DatasetConfig, split: str) -> None:
    """Write a split of moving_shapes if it is not there; other data sets are the user's."""
    if config.maker is None:
        return
    root = Path(config.root)
    if write_split(config.maker, root, split):
        log.info("%s: %d videos written", root / split, config.maker.num_videos[split])


def _entries(recipe: Recipe, dataset: Split) -> list[tuple[str, str]]:
    """(video id, expression id or "") of everything that is to be made."""
    if recipe.prompt_source.name != "gdino":
        return [(video_id, "") for video_id in dataset.videos]
    entries = [(e.video_id, e.expression_id) for e in dataset.expressions]
    if not entries:
        raise ValueError(
            f"{dataset.split_dir}: split {dataset.split} has no expressions, which "
            "prompt_source=gdino looks for. Use prompt_source=grid."
        )
    return entries


def _track_videos(
    recipe: Recipe,
    trainer: pl.Trainer,
    dataset: Split,
    writer: ShardWriter,
    store: PromptStore,
    videos: list[Video],
    is_training_split: bool,
) -> None:
    model = cast(SAM2Base, build_tracker(recipe.tracker))
    if recipe.tracker.compile:
        compile_parts(model)
    writer.start()
    title = f"{recipe.prompt_source.name} tracks of {dataset.name}/{dataset.split}"
    reports: list[VideoReport] = []
    with progress(title, math.ceil(len(videos) / trainer.world_size)) as advance:

        def on_video(report: VideoReport) -> None:
            reports.append(report)
            seconds = sum(report.seconds for report in reports)
            tracks = sum(report.num_tracks for report in reports)
            frames = sum(report.num_frames for report in reports)
            advance(f"{tracks / seconds:.1f} tracks/s, {frames / seconds:.1f} frames/s")

        module = TrackGenerator(
            model,
            VideoDataset(dataset, videos),
            recipe.prompt_source,
            recipe.tracker,
            writer,
            store,
            is_training_split=is_training_split,
            make_detector=recipe.build_detector,
            on_video=on_video,
        )
        trainer.predict(module, return_predictions=False)
    all_reports, all_seconds = of_all_processes(reports, module.seconds)
    if trainer.is_global_zero:
        show_summary(all_reports, all_seconds)


def _make_trainer(trainer: TrainerConfig) -> pl.Trainer:
    is_single = (trainer.devices, trainer.num_nodes, trainer.strategy) == (1, 1, "auto")
    return pl.Trainer(
        accelerator=trainer.accelerator,
        devices=trainer.devices,
        num_nodes=trainer.num_nodes,
        strategy="auto" if is_single else DDPStrategy(timeout=PATIENCE),
        use_distributed_sampler=False,  # the module deals out the videos
        precision=trainer.precision,  # type: ignore[arg-type]  # validated before
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
        inference_mode=True,
    )
