"""What generate.py does: tracks of every video of a split, skipping those that are there."""

import dataclasses
import logging
import math
from pathlib import Path
from typing import Any, cast

import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader

from sola.config.device import pick_device
from sola.config.progress import progress
from sola.config.schema import DatasetConfig, GenerateConfig, TrackerConfig
from sola.datasets import Split, open_dataset
from sola.datasets.moving_shapes.maker import write_split
from sola.generation.module import TrackGenerator, VideoDataset, VideoReport
from sola.generation.summary import of_all_processes, show_summary
from sola.prompts.grounding_dino import build_detector, check_detector, detector_sha256
from sola.shards import PROMPTS_VERSION, PromptStore, ShardWriter, prompts_dir, tracks_dir
from sola.tracking.builder import (
    RANDOM_WEIGHTS,
    build_tracker,
    check_checkpoint,
    checkpoint_sha256,
)
from sola.tracking.compiled import compile_parts
from sola.tracking.propagation import SAM2Base
from sola.types import Video

log = logging.getLogger(__name__)

DETECTION_KEYS = (
    "detector",
    "detector_network",
    "detector_vocabulary",
    "shortest_edge_px",
    "longest_edge_px",
    "text_threshold",
)
"""Values of source gdino that decide what is found; the others only drop some of it."""


def run_generation(config: GenerateConfig) -> Path:
    """Make the tracks that a configuration asks for.

    Returns:
        Folder of the finished shards.

    Raises:
        ValueError: if the data set or the checkpoint is missing, a GPU is asked for and none is
            there, or tracks made with other settings are in the way.
    """
    pick_device(config.trainer.accelerator)  # refused before anything is written
    pl.seed_everything(config.seed, verbose=False)
    if config.trainer.num_threads:
        torch.set_num_threads(config.trainer.num_threads)
    tracker = dataclasses.replace(
        config.tracker, checkpoint=config.checkpoint or config.tracker.checkpoint
    )
    check_checkpoint(tracker)
    if config.prompt_source.name == "gdino":
        check_detector(config.prompt_source)
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
    writer = ShardWriter(folder, _describe_tracks(config, tracker, dataset))
    if writer.is_finished:
        log.info("%s: %d videos are there already, nothing to do", folder, len(dataset.videos))
        return folder
    _generate(config, tracker, dataset, writer)
    return folder


def make_dataset(config: DatasetConfig, split: str) -> None:
    """Write a split of moving_shapes if it is not there; other data sets are the user's."""
    if config.maker is None:
        return
    root = Path(config.root)
    if write_split(config.maker, root, split):
        log.info("%s: %d videos written", root / split, config.maker.num_videos[split])


def _describe_tracks(
    config: GenerateConfig, tracker: TrackerConfig, dataset: Split
) -> dict[str, Any]:
    """What must be the same for two runs to make the same tracks."""
    rule = dataclasses.asdict(config.prompt_source)
    del rule["detector_checkpoint"]  # its contents count, not its path
    return {
        **_describe_origin(config, tracker, dataset),
        "tracker": tracker.name,
        "token_dim": tracker.token_dim,
        "config": {
            "prompt_source": rule,
            "tracker": _network(tracker),
            "precision": config.trainer.precision,
        },
    }


def _describe_prompts(
    config: GenerateConfig, tracker: TrackerConfig, dataset: Split
) -> dict[str, Any]:
    """What must be the same for two runs to find the same prompts, before caps and thresholds."""
    rule = dataclasses.asdict(config.prompt_source)
    keys = DETECTION_KEYS if config.prompt_source.name == "gdino" else ()
    return {
        **_describe_origin(config, tracker, dataset),
        "prompts_version": PROMPTS_VERSION,
        "config": {
            "prompt_source": {key: rule[key] for key in keys},
            "tracker": _network(tracker),
            "precision": config.trainer.precision,
        },
    }


def _describe_origin(
    config: GenerateConfig, tracker: TrackerConfig, dataset: Split
) -> dict[str, Any]:
    """Videos and weights."""
    weights = {"checkpoint_sha256": checkpoint_sha256(tracker.checkpoint)}
    if config.prompt_source.name == "gdino":
        weights["detector_sha256"] = detector_sha256(config.prompt_source)
    return {
        "dataset": config.dataset.name,
        "split": config.split,
        "source": config.prompt_source.name,
        **{
            key: f"random, seed {config.seed}" if value == RANDOM_WEIGHTS else value
            for key, value in weights.items()
        },
        "annotations_sha256": dataset.annotations_sha256,
    }


def _network(tracker: TrackerConfig) -> dict[str, Any]:
    """All of a tracker but where its weights lie and how much memory it may take."""
    network = dataclasses.asdict(tracker)
    del network["checkpoint"], network["feature_budget_mib"], network["name"]
    return network


def _generate(
    config: GenerateConfig, tracker: TrackerConfig, dataset: Split, writer: ShardWriter
) -> None:
    entries = _entries(config, dataset)
    unstaged = {entry[0] for entry in entries if not writer.has(*entry)}
    missing = [video for video in dataset.videos.values() if video.video_id in unstaged]
    num_done = len(dataset.videos) - len(missing)
    if num_done:
        log.info("%d of %d videos are there already", num_done, len(dataset.videos))
    trainer = _make_trainer(config)
    if missing:
        _track_videos(config, tracker, trainer, dataset, writer, missing)
    trainer.strategy.barrier()  # all processes have staged their videos; one of them packs
    if not trainer.is_global_zero:
        return
    writer.finish(entries)
    log.info("%s: tracks of %d videos", writer.tracks_dir, len(dataset.videos))


def _entries(config: GenerateConfig, dataset: Split) -> list[tuple[str, str]]:
    """(video id, expression id or "") of everything that is to be made."""
    if config.prompt_source.name != "gdino":
        return [(video_id, "") for video_id in dataset.videos]
    entries = [(e.video_id, e.expression_id) for e in dataset.expressions]
    if not entries:
        raise ValueError(
            f"{dataset.split_dir}: split {config.split} has no expressions, which "
            "prompt_source=gdino looks for. Use prompt_source=grid."
        )
    return entries


def _track_videos(
    config: GenerateConfig,
    tracker: TrackerConfig,
    trainer: pl.Trainer,
    dataset: Split,
    writer: ShardWriter,
    videos: list[Video],
) -> None:
    model = cast(SAM2Base, build_tracker(tracker))
    if tracker.compile:
        compile_parts(model)
    found_by = _describe_prompts(config, tracker, dataset)
    writer.start()
    title = f"{config.prompt_source.name} tracks of {config.dataset.name}/{config.split}"
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
            config.prompt_source,
            tracker,
            writer,
            PromptStore(prompts_dir(Path(config.paths.data_dir), found_by), found_by),
            is_training_split=config.split == config.dataset.train_split,
            make_detector=lambda: build_detector(config.prompt_source),
            on_video=on_video,
        )
        loader = DataLoader(VideoDataset(dataset, videos), batch_size=None)
        trainer.predict(module, loader, return_predictions=False)
    show_summary(*of_all_processes(reports, module.seconds))


def _make_trainer(config: GenerateConfig) -> pl.Trainer:
    trainer = config.trainer
    return pl.Trainer(
        accelerator=trainer.accelerator,
        devices=trainer.devices,
        num_nodes=trainer.num_nodes,
        strategy=trainer.strategy,
        precision=trainer.precision,  # type: ignore[arg-type]  # validated before
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
        inference_mode=True,
    )
