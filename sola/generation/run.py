"""Run generate.py: make the tracks of every video of a split, and skip those that exist."""

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from pathlib import Path

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import LambdaCallback
from pytorch_lightning.strategies import DDPStrategy

from sola.checks import one_of
from sola.config.console import progress
from sola.config.device import check_precision, pick_device
from sola.config.entry_points import PRECISIONS, GenerateConfig, PredictConfig
from sola.config.processes import STARTED_BY, starts_processes
from sola.config.targets import Later
from sola.datasets import Split
from sola.errors import UserError
from sola.generation.generator import Recipe, TrackGenerator
from sola.generation.job import Job, Share
from sola.generation.reporting import GenerationDashboard, VideoReport, measure_run, show_summary
from sola.generation.stop import Stopped, StopSignals
from sola.prompts import PromptSource
from sola.shards import PromptStore, ShardReader, ShardWriter, tracks_dir
from sola.visualization.board import Board, finish_logger, git_state, make_logger

log = logging.getLogger(__name__)


def run_generation(config: GenerateConfig) -> Path:
    """Make the tracks that a configuration describes.

    Returns:
        Folder of the finished shards.

    Raises:
        UserError: if the data set, the checkpoint or a requested GPU is missing; see also
            ``make_tracks``.
        SystemExit: if a signal ends the run.
    """
    if config.num_threads:
        torch.set_num_threads(config.num_threads)
    source, data_dir = config.prompt_source, Path(config.paths.data_dir)
    recipe = make_recipe(source, config, config.token_dtype)
    if config.dataset.make(config.split):  # a synthetic data set
        log.info("%s: written", config.dataset.root / config.split)
    dataset = config.dataset.open(config.split)
    if source.needs_ground_truth and not dataset.has_masks:
        raise UserError(
            f"{dataset.split_dir}: split {config.split} has no ground truth to prompt with. "
            f"Use prompt_source=grid."
        )
    names = (config.dataset.name, config.split, source.name, config.tracker.name)
    folder = tracks_dir(data_dir, *names)
    make_tracks(
        recipe,
        dataset,
        data_dir,
        folder,
        config.trainer,
        is_training_split=config.split == config.dataset.train_split,
        share=Share(config.part, config.num_parts, config.strict),
        log_to=partial(_open_dashboard, config),
    )
    return folder


def make_recipe(
    source: PromptSource, config: GenerateConfig | PredictConfig, token_dtype: str = "auto"
) -> Recipe:
    """Return the recipe of a run, after checking that its files and devices exist.

    Raises:
        UserError: if a checkpoint, a vocabulary or the prompt source is missing, a required GPU is
            missing, or the trainer's precision or strategy is not supported.
    """
    chosen = config.trainer.node
    precision = str(chosen.get("precision") or PRECISIONS[0])
    one_of(PRECISIONS, **{"trainer.precision": precision})
    one_of(("auto", "ddp"), **{"trainer.strategy": chosen.get("strategy", "auto")})
    check_precision(precision, pick_device(str(chosen.get("accelerator", "auto"))))
    config.tracker.check()
    source.check()
    return Recipe(source, config.tracker, config.seed, precision, token_dtype)


def make_tracks(
    recipe: Recipe,
    dataset: Split,
    data_dir: Path,
    folder: Path,
    trainer_node: Later[pl.Trainer],
    *,
    is_training_split: bool = False,
    may_be_empty: bool = False,
    share: Share | None = None,
    log_to: Callable[[], AbstractContextManager[GenerationDashboard | None]] = nullcontext,
) -> None:
    """Make the missing tracks of a split.

    Other processes, of this job and of others, may run at the same time: each video is made once.

    Args:
        recipe: prompt source, tracker and precision.
        dataset: the split.
        data_dir: stores the prompts found.
        folder: folder of the shards.
        trainer_node: configuration of the Trainer, which is built here.
        is_training_split: whether the prompt source may search more frames, as it may in training.
        may_be_empty: whether a split without a single track is a valid result.
        share: the part of the work that this job does; None: all of it.
        log_to: opens the dashboard in the first process if anything is missing.

    Raises:
        UserError: if the folder holds tracks made with other settings, another process is making
            the same part, some videos cannot be tracked, or the whole split has no tracks.
        SystemExit: if a signal ends the run.
    """
    pl.seed_everything(recipe.seed, verbose=False)
    writer = ShardWriter(folder, recipe.describe_tracks(dataset))
    trainer = _make_trainer(trainer_node)
    is_child = os.environ.get(STARTED_BY) == str(os.getppid())
    if writer.is_finished and not is_child:
        writer.discard_staging()  # left by a process that died while it discarded it
        log.info("%s: %d videos exist, nothing to do", folder, len(dataset.videos))
        return
    job = Job(
        writer,
        _entries(recipe, dataset),
        share or Share(),
        num_processes=trainer.world_size,
        is_leader=trainer.is_global_zero,
    )
    with job:
        num_missing, reports = len(job.unstaged()), list[VideoReport]()
        if num_missing < job.num_videos:
            log.info("%d of %d videos exist", job.num_videos - num_missing, job.num_videos)
        with log_to() if job.is_leader and num_missing else nullcontext() as dashboard:
            if num_missing or is_child:
                store = PromptStore(data_dir, recipe.describe_prompts(dataset))
                stop = StopSignals(is_child=is_child)
                module = TrackGenerator(
                    recipe, dataset, job, store, stop, is_training_split=is_training_split
                )
                reports = _track_videos(trainer, module, dashboard)
            if job.is_leader:
                job.finish(if_empty=None if may_be_empty else _no_tracks(recipe, dataset, folder))
            if dashboard is not None and writer.is_finished:
                dashboard.show_tracks(ShardReader(folder), dataset, reports)


def _track_videos(
    trainer: pl.Trainer, module: TrackGenerator, dashboard: GenerationDashboard | None
) -> list[VideoReport]:
    """Track this process's share of the videos; return the reports of all processes."""
    job, stop = module.job, module.stop
    has_ended = False
    try:
        shown = _show_progress(trainer, module, dashboard) if job.is_leader else nullcontext()
        with shown, starts_processes():
            trainer.predict(module, return_predictions=False)
        stop.listen()  # Lightning has removed the handlers
        reports, seconds = module.gather_reports()
        has_ended = True
    except Stopped as stopped:
        num_kept = job.num_videos - len(job.unstaged())
        log.warning(
            "%s: stopped by %s; %d of %d videos are kept. Run the same command again to resume.",
            *(job.writer.tracks_dir, stopped.reason, num_kept, job.num_videos),
        )
        raise
    finally:
        stop.end_children(kill=not has_ended)
        stop.release()
    if job.is_leader:
        failures = job.failures()
        numbers = measure_run(reports, seconds, len(failures))
        show_summary(numbers, failures)
        if dashboard is not None:
            dashboard.log_run(numbers)
    return reports


@contextmanager
def _show_progress(
    trainer: pl.Trainer, module: TrackGenerator, dashboard: GenerationDashboard | None
) -> Iterator[None]:
    """Show the first process's progress in a bar, and its videos in the dashboard."""
    videos, num_videos = module.videos, module.job.num_videos
    title = f"{module.recipe.source.name} tracks of {module.dataset.name}/{module.dataset.split}"
    num_shown = 0
    with progress(title, num_videos, done=num_videos - len(videos.video_ids)) as advance:

        def show(*_: object) -> None:
            nonlocal num_shown
            advance(steps=videos.position - num_shown)  # counts videos of other processes too
            num_shown = videos.position
            if dashboard is not None:
                dashboard.log_videos(module.reports)

        trainer.callbacks.append(LambdaCallback(on_predict_batch_end=show))  # type: ignore[attr-defined]
        yield


@contextmanager
def _open_dashboard(config: GenerateConfig) -> Iterator[GenerationDashboard]:
    """Open the dashboard of the run."""
    logger = make_logger(config.logger, job_type="generate")
    board, options = Board(logger), config.dashboard
    board.log_config(config.values | {"git": git_state()})
    try:
        yield GenerationDashboard(board, options.num_examples, options.example_frames)
    finally:
        finish_logger(logger)


def _entries(recipe: Recipe, dataset: Split) -> list[tuple[str, str]]:
    """Return (video id, expression id or "") of everything to make."""
    if not recipe.source.is_by_expression:
        return [(video_id, "") for video_id in dataset.videos]
    return [(e.video_id, e.expression_id) for e in dataset.expressions]


def _no_tracks(recipe: Recipe, dataset: Split, folder: Path) -> str:
    """Return the error message for a split without a single track."""
    return (
        f"{dataset.split_dir}: no tracks, prompt_source={recipe.source.name} found nothing to "
        f"track in any video of split {dataset.split}. {recipe.source.causes_of_nothing} Then "
        f"move the folder {folder} away and run the same command again."
    )


def _make_trainer(node: Later[pl.Trainer]) -> pl.Trainer:
    chosen = node.node
    devices = (chosen.get("devices", 1), chosen.get("num_nodes", 1))
    is_single = devices == (1, 1) and chosen.get("strategy", "auto") == "auto"
    return node(
        # gloo even on GPUs: there are no gradients, and it notices at once when a process dies
        strategy="auto" if is_single else DDPStrategy(process_group_backend="gloo"),
        use_distributed_sampler=False,  # processes take videos themselves
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
        inference_mode=True,
    )
