"""What generate.py does: tracks of every video of a split, skipping those that are there."""

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
import torch.distributed as dist
from pytorch_lightning.strategies import DDPStrategy

from sola.config.entry_points import GenerateConfig
from sola.config.job import STARTED_BY, starts_processes
from sola.config.progress import progress
from sola.config.targets import Later
from sola.datasets import Dataset, Split
from sola.errors import UserError
from sola.generation.dashboard import GenerationDashboard
from sola.generation.job import Job, Share
from sola.generation.module import TrackGenerator, VideoReport
from sola.generation.plan import SharedVideos, estimated_costs, longest_first
from sola.generation.recipe import Recipe
from sola.generation.stop import Stopped, StopSignals
from sola.generation.summary import of_all_processes, show_summary
from sola.shards import PromptStore, ShardReader, ShardWriter, prompts_dir, tracks_dir
from sola.visualization.dashboard.board import Board, git_state
from sola.visualization.dashboard.loggers import finish_logger, make_logger

log = logging.getLogger(__name__)

PATIENCE = timedelta(days=2)
"""How long a process that is done waits for the others, whose videos may be longer."""


def run_generation(config: GenerateConfig) -> Path:
    """Make the tracks that a configuration asks for.

    Returns:
        Folder of the finished shards.

    Raises:
        UserError: if the data set or the checkpoint is missing, a GPU is asked for and none is
            there, tracks made with other settings are in the way, the same part is being made
            already, some videos cannot be tracked, or the whole split has no tracks.
        SystemExit: if a signal ends the run.
    """
    recipe = Recipe(
        config.prompt_source,
        config.tracker,
        config.trainer,
        config.seed,
        config.token_dtype,
        config.num_threads,
    )
    recipe.check()
    make_dataset(config.dataset, config.split)
    dataset = config.dataset.open(config.split)
    if recipe.source.needs_ground_truth and not dataset.has_masks:
        raise UserError(
            f"{dataset.split_dir}: split {config.split} has no ground truth to prompt with. "
            f"Use prompt_source=grid."
        )
    folder = tracks_dir(
        Path(config.paths.data_dir),
        config.dataset.name,
        config.split,
        config.prompt_source.name,
        config.tracker.name,
    )
    make_tracks(
        recipe,
        dataset,
        Path(config.paths.data_dir),
        folder,
        is_training_split=config.split == config.dataset.train_split,
        share=Share(config.part, config.num_parts, config.strict),
        log_to=partial(_open_dashboard, config),
    )
    return folder


def make_tracks(
    recipe: Recipe,
    dataset: Split,
    data_dir: Path,
    folder: Path,
    *,
    is_training_split: bool = False,
    may_be_empty: bool = False,
    share: Share | None = None,
    log_to: Callable[[], AbstractContextManager[GenerationDashboard | None]] = nullcontext,
) -> None:
    """Make the tracks of a split, where they are not there yet.

    Other processes, of this job and of others, may be at the same: each video is made once.

    Args:
        recipe: how, checked.
        dataset: the split.
        data_dir: keeps the prompts that are found.
        folder: for the shards.
        is_training_split: the prompt source may look at more frames of these.
        may_be_empty: a split without a single track is a valid result.
        share: which part of the work this job is; None: all of it.
        log_to: opens the dashboard, when there is something to log, in the first process.

    Raises:
        UserError: if tracks made with other settings are in the folder, the same part is being
            made already, some videos cannot be tracked, or the whole split has no tracks.
        SystemExit: if a signal ends the run.
    """
    pl.seed_everything(recipe.seed, verbose=False)
    if recipe.num_threads:
        torch.set_num_threads(recipe.num_threads)
    writer = ShardWriter(folder, recipe.describe_tracks(dataset))
    trainer = _make_trainer(recipe.trainer)
    is_awaited = os.environ.get(STARTED_BY) == str(os.getppid())
    if writer.is_finished and not is_awaited:
        writer.discard_staging()  # of a process that died while it did
        log.info("%s: %d videos are there already, nothing to do", folder, len(dataset.videos))
        return
    job = Job(
        writer,
        _entries(recipe, dataset),
        share or Share(),
        num_processes=trainer.world_size,
        is_leader=trainer.is_global_zero,
    )
    reports: list[VideoReport] = []

    def open_dashboard() -> AbstractContextManager[GenerationDashboard | None]:
        return log_to() if trainer.is_global_zero and job.unstaged() else nullcontext()

    with StopSignals() as stop, job, open_dashboard() as dashboard:
        missing = set(job.unstaged())
        if len(missing) < job.num_videos:
            num_there = job.num_videos - len(missing)
            log.info("%d of %d videos are there already", num_there, job.num_videos)
        try:
            if missing or is_awaited:
                found_by = recipe.describe_prompts(dataset)
                store = PromptStore(prompts_dir(data_dir, found_by), found_by)
                order = longest_first(estimated_costs(recipe.source, dataset))
                videos = SharedVideos(
                    [video_id for video_id in order if video_id in missing],
                    job.claims,
                    job.is_settled,
                    max_length=job.num_videos,
                )
                reports = _track_videos(
                    recipe, trainer, dataset, job, videos, store, stop, is_training_split, dashboard
                )
            if trainer.is_global_zero:
                job.finish(if_empty=None if may_be_empty else _no_tracks(recipe, dataset, folder))
            if dashboard is not None and writer.is_finished:
                dashboard.show_tracks(ShardReader(folder), dataset, reports)
        except Stopped as stopped:
            _say_what_is_kept(job, stopped)
            raise


def make_dataset(dataset: Dataset, split: str) -> None:
    """Write a split of a synthetic data set if it is not there; others are the user's."""
    if dataset.make(split):
        log.info("%s: written", dataset.root / split)


def _entries(recipe: Recipe, dataset: Split) -> list[tuple[str, str]]:
    """(video id, expression id or "") of everything that is to be made."""
    if not recipe.source.is_by_expression:
        return [(video_id, "") for video_id in dataset.videos]
    entries = [(e.video_id, e.expression_id) for e in dataset.expressions]
    if not entries:
        raise UserError(
            f"{dataset.split_dir}: split {dataset.split} has no expressions, which "
            f"prompt_source={recipe.source.name} looks for. Use prompt_source=grid."
        )
    return entries


def _no_tracks(recipe: Recipe, dataset: Split, folder: Path) -> str:
    """What to say of a split without a single track."""
    return (
        f"{dataset.split_dir}: no tracks, prompt_source={recipe.source.name} found nothing to "
        f"track in any video of split {dataset.split}. {recipe.source.causes_of_nothing} Then "
        f"move the folder {folder} away and run the same command again."
    )


def _track_videos(
    recipe: Recipe,
    trainer: pl.Trainer,
    dataset: Split,
    job: Job,
    videos: SharedVideos,
    store: PromptStore,
    stop: StopSignals,
    is_training_split: bool,
    dashboard: GenerationDashboard | None,
) -> list[VideoReport]:
    """Reports of all processes; those of this one where it is not the first."""
    title = f"{recipe.source.name} tracks of {dataset.name}/{dataset.split}"
    shown = (
        progress(title, job.num_videos, done=job.num_videos - len(videos.video_ids))
        if trainer.is_global_zero
        else nullcontext(lambda _: None)
    )
    reports: list[VideoReport] = []
    group: Any = None
    num_shown = 0

    def on_start() -> None:
        nonlocal group
        stop.put_back()
        stop.adopt(getattr(trainer.strategy.launcher, "procs", []))
        if dist.is_initialized():
            # gloo, also beside NCCL: it notices at once when a process dies
            group = dist.new_group(backend="gloo", timeout=PATIENCE)

    with shown as advance:

        def on_video(report: VideoReport | None) -> None:
            nonlocal num_shown
            reports.extend([report] if report else [])
            if report and dashboard is not None:
                dashboard.progress(reports)
            for _ in range(videos.position - num_shown):
                advance(_rates(reports))
            num_shown = videos.position

        module = TrackGenerator(
            recipe.tracker,
            dataset,
            videos,
            recipe.source,
            job.writer,
            store,
            job.failures,
            is_training_split=is_training_split,
            is_strict=job.share.is_strict,
            seed=recipe.seed,
            open_source=recipe.open_source,
            on_start=on_start,
            on_stage=stop.check,
            on_video=on_video,
        )
        with starts_processes(), stop.at_checks():
            trainer.predict(module, return_predictions=False)
    all_reports, all_seconds = of_all_processes(reports, module.seconds, group)
    if trainer.is_global_zero:
        show_summary(all_reports, all_seconds, job.failures.reasons())
    if dashboard is not None:
        dashboard.finish(all_reports, all_seconds, len(job.failures.reasons()))
    return all_reports


@contextmanager
def _open_dashboard(config: GenerateConfig) -> Iterator[GenerationDashboard | None]:
    """None where no logger was chosen."""
    if config.logger is None:
        yield None
        return
    logger = make_logger(config.logger, job_type="generate")
    board, options = Board(logger), config.dashboard
    board.log_config(config.values | {"git": git_state()})
    try:
        yield GenerationDashboard(board, options.num_examples, options.example_frames)
    finally:
        finish_logger(logger)


def _rates(reports: list[VideoReport]) -> str:
    seconds = sum(report.seconds for report in reports) or 1.0
    tracks = sum(report.num_tracks for report in reports)
    frames = sum(report.num_frames for report in reports)
    return f"{tracks / seconds:.1f} tracks/s, {frames / seconds:.1f} frames/s"


def _say_what_is_kept(job: Job, stopped: Stopped) -> None:
    if not job.is_leader:
        return
    num_kept = job.num_videos - (0 if job.writer.is_finished else len(job.unstaged()))
    log.warning(
        "%s: %s; %d of %d videos are kept. The same command goes on with the others.",
        job.writer.tracks_dir,
        stopped.reason,
        num_kept,
        job.num_videos,
    )


def _make_trainer(node: Later[pl.Trainer]) -> pl.Trainer:
    given = node.node
    devices = (given.get("devices", 1), given.get("num_nodes", 1))
    is_single = devices == (1, 1) and given.get("strategy", "auto") == "auto"
    return node(
        strategy="auto" if is_single else DDPStrategy(),
        use_distributed_sampler=False,  # processes take videos themselves
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
        inference_mode=True,
    )
