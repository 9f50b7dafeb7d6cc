"""Run generate.py: make tracks of every video of a split, skipping those that exist."""

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
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
from sola.generation.recipe import Recipe
from sola.generation.stop import Stopped, StopSignals
from sola.generation.summary import of_all_processes, show_summary
from sola.shards import PromptStore, ShardReader, ShardWriter, tracks_dir
from sola.visualization.dashboard.board import Board, git_state
from sola.visualization.dashboard.loggers import finish_logger, make_logger

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
    """Make the missing tracks of a split.

    Other processes, of this job and of others, may do the same: each video is made once.

    Args:
        recipe: how, checked.
        dataset: the split.
        data_dir: stores the prompts that are found.
        folder: for the shards.
        is_training_split: the prompt source may search more frames of these.
        may_be_empty: a split without a single track is a valid result.
        share: which part of the work this job is; None: all of it.
        log_to: opens the dashboard, if there is something to log, in the first process.

    Raises:
        UserError: if tracks made with other settings are in the folder, the same part is already
            being made, some videos cannot be tracked, or the whole split has no tracks.
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
        num_missing = len(job.unstaged())
        if num_missing < job.num_videos:
            log.info("%d of %d videos exist", job.num_videos - num_missing, job.num_videos)
        has_work = job.is_leader and num_missing > 0
        with log_to() if has_work else nullcontext() as dashboard:
            reports: list[VideoReport] = []
            if num_missing or is_awaited:
                module = TrackGenerator(
                    recipe,
                    dataset,
                    job,
                    PromptStore(data_dir, recipe.describe_prompts(dataset)),
                    StopSignals(is_child=is_awaited),
                    is_training_split=is_training_split,
                )
                reports = _track_videos(trainer, module, dashboard)
            if job.is_leader:
                job.finish(if_empty=None if may_be_empty else _no_tracks(recipe, dataset, folder))
            if dashboard is not None and writer.is_finished:
                dashboard.show_tracks(ShardReader(folder), dataset, reports)


def _track_videos(
    trainer: pl.Trainer, module: TrackGenerator, dashboard: GenerationDashboard | None
) -> list[VideoReport]:
    """Track this process's share of the videos; returns the reports of all processes."""
    job, stop = module.job, module.stop
    if job.is_leader:
        trainer.callbacks.append(_ShowProgress(module, dashboard))  # type: ignore[attr-defined]
    has_ended = False
    try:
        with starts_processes():
            trainer.predict(module, return_predictions=False)
        stop.listen()  # Lightning has removed the handlers
        reports, seconds = of_all_processes(module, stop.check)
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
        show_summary(reports, seconds, failures)
        if dashboard is not None:
            dashboard.finish(reports, seconds, len(failures))
    return reports


class _ShowProgress(pl.Callback):
    """Shows each video of the first process: in the progress bar, and in the dashboard."""

    def __init__(self, module: TrackGenerator, dashboard: GenerationDashboard | None) -> None:
        self.module, self.dashboard = module, dashboard
        self._num_shown = self._num_logged = 0
        recipe, dataset = module.recipe, module.dataset
        num_videos, num_left = module.job.num_videos, len(module.videos.video_ids)
        title = f"{recipe.source.name} tracks of {dataset.name}/{dataset.split}"
        self._progress = progress(title, num_videos, done=num_videos - num_left)
        self._opened = ExitStack()

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Open the bar."""
        self._advance = self._opened.enter_context(self._progress)

    def on_predict_batch_end(self, *_: Any, **__: Any) -> None:
        """Advance by the videos that this and other processes have taken since."""
        reports, position = self.module.reports, self.module.videos.position
        if self.dashboard is not None and len(reports) > self._num_logged:
            self.dashboard.progress(reports)
        self._num_logged = len(reports)
        self._advance(_rates(reports), steps=position - self._num_shown)
        self._num_shown = position

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Close the bar."""
        self._opened.close()

    def on_exception(self, *_: Any) -> None:
        """Close the bar; Lightning skips ``teardown`` then."""
        self._opened.close()


def make_dataset(dataset: Dataset, split: str) -> None:
    """Write a split of a synthetic data set if it is missing; other data sets are the user's."""
    if dataset.make(split):
        log.info("%s: written", dataset.root / split)


def _entries(recipe: Recipe, dataset: Split) -> list[tuple[str, str]]:
    """(video id, expression id or "") of everything to make."""
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
    """Message about a split without a single track."""
    return (
        f"{dataset.split_dir}: no tracks, prompt_source={recipe.source.name} found nothing to "
        f"track in any video of split {dataset.split}. {recipe.source.causes_of_nothing} Then "
        f"move the folder {folder} away and run the same command again."
    )


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


def _make_trainer(node: Later[pl.Trainer]) -> pl.Trainer:
    given = node.node
    devices = (given.get("devices", 1), given.get("num_nodes", 1))
    is_single = devices == (1, 1) and given.get("strategy", "auto") == "auto"
    return node(
        # gloo, also on GPUs: no gradients, and it notices at once when a process dies
        strategy="auto" if is_single else DDPStrategy(process_group_backend="gloo"),
        use_distributed_sampler=False,  # processes take videos themselves
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
        inference_mode=True,
    )
