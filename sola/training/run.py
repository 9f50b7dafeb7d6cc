"""Run train.py: train a selector on generated tracks."""

import inspect
import logging
import signal
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.loggers import Logger
from pytorch_lightning.strategies import DDPStrategy
from pytorch_lightning.utilities.exceptions import MisconfigurationException, SIGTERMException

from sola.config.device import check_precision, pick_device
from sola.config.entry_points import TrainConfig
from sola.config.processes import starts_processes
from sola.config.program import EXPECTED_WARNINGS as OF_OTHER_PACKAGES
from sola.config.targets import Later, check_kind, locate
from sola.datasets import Split
from sola.errors import UserError, did_you_mean
from sola.evaluation.tracks import check_same_tokens
from sola.interrupts import INTERRUPTED
from sola.selector import Selector
from sola.selector.base import PROVENANCE_KEY
from sola.text import TextTokens
from sola.training.callbacks import (
    BEST_FILE,
    BestCheckpoint,
    Resumption,
    TrainingProgress,
    WholeFileIO,
    check_resume,
    find_checkpoint,
)
from sola.training.dashboard import ValidationDashboard
from sola.training.data import SelectorDataModule
from sola.training.module import SelectorModule
from sola.training.samples import LabelledTracks, SelectionDataset, check_widths, open_tracks
from sola.training.scoring import VALID_JF, ValidationScorer
from sola.visualization.board import Board, finish_logger, git_state, make_logger
from sola.weights_file import read_weights

log = logging.getLogger(__name__)

EXPECTED_WARNINGS = (
    *OF_OTHER_PACKAGES,
    ".*does not have many workers.*",  # tokens are read in a millisecond
    ".*smaller than the logging interval.*",
    ".*your dataloader is not resumable.*",  # the data module is resumable
    ".*The dirpath has changed from.*",  # a run resumed in another folder writes its own best.ckpt
    ".*directory .* exists and is not empty.*",  # Hydra has written its files before
    ".*recommended to use .self.log.*sync_dist=True.*",  # logged values cover all processes already
    ".*could not find the monitored key.*",  # the run ended before its first validation
)
RECORDED = ("loss", "optimizer", "scheduler", "data", "trainer")
"""Sections of the configuration that are stored in checkpoints."""


@dataclass(frozen=True)
class TrainingResult:
    """The best checkpoint of a run."""

    best_path: Path
    """best.ckpt in the output folder, chosen by callbacks.best_checkpoint.monitor."""
    valid_jf: float | None
    """Its valid/J&F, in [0, 1]; None if there was no validation."""


def train(config: TrainConfig) -> TrainingResult:
    """Train a selector.

    The same seed gives the same result on a CPU, and nearly the same on a GPU, where some sums have
    no fixed order. A run resumed in its own folder chooses its best checkpoint among all its
    epochs; a run resumed in another folder chooses among the remaining epochs.
    ``trainer.fast_dev_run`` writes no checkpoint.

    Raises:
        UserError: if a requested GPU is missing, data or tracks are missing or do not belong
            together, a width does not match, a limit leaves no batch, the output folder holds
            another run, or the checkpoint to resume from does not match.
    """
    output_dir = Path(config.paths.output_dir)
    is_dry = bool(config.trainer.node.get("fast_dev_run"))
    ckpt_path = find_checkpoint(output_dir, config.ckpt_path, resume=config.resume, is_dry=is_dry)
    device = _set_up(config)

    selector = config.selector()
    check_kind(selector, Selector, "selector")
    optimizer = _choose_fused(config.optimizer, config.trainer.node.get("precision"))
    optimizer(selector.parameters())  # fail on invalid values before data is read
    callbacks = _build_callbacks(config.callbacks)

    valid_split, data = _open_data(config, device)
    tracks = [part.tracks for part in (*data.train_sets, data.valid_set)]
    for other in tracks[1:]:
        check_same_tokens(tracks[0].readers[0], other.readers[0])
    check_widths(selector, tracks[0], config.text_encoder)
    first_step = 0 if ckpt_path is None else check_resume(ckpt_path, selector)

    goes_on = ckpt_path is not None and ckpt_path.absolute().parent == output_dir.absolute()
    logger = make_logger(
        config.logger, job_type="train", is_dry=is_dry, first_step=first_step, goes_on=goes_on
    )
    board = Board(logger)
    sources, threshold = config.data.valid_sources, config.threshold
    scorer = ValidationScorer(data.valid_set.tracks.sources, valid_split, threshold, sources)
    scheduler = _with_num_steps(config.scheduler)
    module = SelectorModule(selector, config.loss, optimizer, scheduler, scorer)
    if not is_dry:
        shown = config.dashboard
        examples = (shown.num_examples, shown.examples_every_n_validations, shown.example_frames)
        callbacks.append(ValidationDashboard(board, scorer, valid_split, *examples))
    with warnings.catch_warnings(), starts_processes():
        for message in EXPECTED_WARNINGS:
            warnings.filterwarnings("ignore", message)
        trainer = _build_trainer(config, logger, callbacks, uses_gpu=device.type == "cuda")
        module.provenance = _describe(config, tracks, trainer)
        module.provenance["optimizer"] = dict(optimizer.node)
        board.log_config(config.values | {"git": git_state(), "provenance": module.provenance})
        try:
            _fit(trainer, module, data, ckpt_path)
            best_path = output_dir / BEST_FILE
            if config.dashboard.keep_checkpoint and best_path.is_file():
                board.add_checkpoint(best_path)
        finally:
            finish_logger(logger)
        for process in getattr(trainer.strategy.launcher, "procs", []):
            process.wait()  # so that the next job of a sweep has the machine for itself
    return _report(trainer, config)


def _set_up(config: TrainConfig) -> torch.device:
    """Return the device after checking it; set seeds, threads and log levels."""
    device = pick_device(str(config.trainer.node.get("accelerator", "auto")))
    check_precision(config.trainer.node.get("precision"), device)
    pl.seed_everything(config.seed, workers=True, verbose=False)
    if config.num_threads:
        torch.set_num_threads(config.num_threads)
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    logging.getLogger("pytorch_lightning.profilers").setLevel(logging.INFO)  # trainer.profiler
    return device


def _choose_fused(optimizer: Later[Any], precision: str | None) -> Later[Any]:
    """Replace ``fused: null`` by true, except in mixed precision.

    In mixed precision Lightning cannot clip the gradients of a fused optimiser. With null torch
    then updates all weights together (foreach) on a GPU; with false it would not.
    """
    if optimizer.node.get("fused", True) is not None or str(precision).endswith("-mixed"):
        return optimizer
    return Later(optimizer.node | {"fused": True}, optimizer.key)


def _with_num_steps(
    scheduler: Later[Any] | None,
) -> Callable[[torch.optim.Optimizer, int], Any] | None:
    """Pass the number of steps of the run to schedules that take ``num_steps``."""
    if scheduler is None:
        return None
    target = locate(scheduler.node["_target_"], scheduler.key)
    takes_steps = "num_steps" in inspect.signature(target).parameters
    return lambda optimizer, num_steps: (
        scheduler(optimizer, num_steps=num_steps) if takes_steps else scheduler(optimizer)
    )


def _build_callbacks(nodes: Mapping[str, Later[Callback | None]]) -> list[Callback]:
    """Return the configured callbacks; a target may return None to disable its callback."""
    built = [(node.key, callback) for node in nodes.values() if (callback := node()) is not None]
    for key, callback in built:
        check_kind(callback, Callback, key)
    return [callback for _, callback in built]


def _open_data(config: TrainConfig, device: torch.device) -> tuple[Split, SelectorDataModule]:
    """Return the validation split, and the DataModule of both splits.

    Expressions that share tracks are validated video by video; no score depends on that.
    """
    trains = [part.open(part.train_split) for part in config.dataset.parts.values()]
    valid = config.dataset.open(config.dataset.valid_split)
    if not valid.has_masks:
        raise UserError(
            f"{valid.split_dir}: split {valid.split} has no ground truth to measure J&F with. "
            "Set dataset.valid_split to one that has."
        )
    options, data_dir = config.data, Path(config.paths.data_dir)
    text = TextTokens(data_dir / "text", config.text_encoder, device.type)
    rule = {"label_iou": options.label_iou, "empty_frames": options.empty_frames}

    def open_set(
        split: Split, sources: Sequence[str], keep: int, max_videos: int | None = None, **how: Any
    ) -> SelectionDataset:
        tracks = open_tracks(data_dir, split, sources, config.tracker.name, keep=keep, **rule)
        used = set(list(split.videos)[:max_videos])
        expressions = [each for each in split.expressions if each.video_id in used]
        return SelectionDataset(expressions, tracks, text, **how)

    by_video = options.group_by == "video"
    limits = {"max_tokens": options.max_tokens, "max_expressions": options.max_expressions}
    how = {"by_video": by_video, "skip_empty": True, **limits}
    # a video's expressions may be spread over the steps of a window
    keep = options.window if any(limits.values()) or not by_video else 1
    train_sets = [
        open_set(train, options.train_sources, keep, options.max_videos, **how) for train in trains
    ]
    valid_set = open_set(valid, options.valid_sources, 1, by_video=True)
    return valid, SelectorDataModule(
        train_sets,
        valid_set,
        batch_size=options.batch_size,
        max_tokens=options.max_tokens,
        window=options.window,
        num_workers=options.num_workers,
        seed=config.seed,
    )


def _build_trainer(
    config: TrainConfig, logger: Logger, callbacks: list[Callback], *, uses_gpu: bool
) -> pl.Trainer:
    node = config.trainer.node
    options: dict[str, Any] = {
        "logger": logger,
        "callbacks": [*callbacks, Resumption(config.seed), TrainingProgress()],
        "default_root_dir": config.paths.output_dir,
        "use_distributed_sampler": False,  # the data module shards the samples
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "plugins": node.get("plugins") or [WholeFileIO()],
    }
    if node.get("strategy") == "ddp":
        # no second copy of the gradients; buffers are constants
        options["strategy"] = DDPStrategy(gradient_as_bucket_view=True, broadcast_buffers=False)
    if node.get("deterministic") is None:
        options["deterministic"] = "warn" if uses_gpu else None  # all CPU operations are
    return config.trainer(**options)


def _fit(
    trainer: pl.Trainer, module: SelectorModule, data: SelectorDataModule, ckpt_path: Path | None
) -> None:
    """Train, and validate once if the run was too short for a scheduled validation."""
    try:
        trainer.fit(module, data, ckpt_path=ckpt_path, weights_only=True)
        _validate_short_run(trainer, module, data)
    except MisconfigurationException as error:
        raise UserError(f"trainer: {error}") from error
    except (SIGTERMException, SystemExit) as ended:  # after Ctrl-C Lightning exits with status 1
        is_sigterm = isinstance(ended, SIGTERMException)
        if not (is_sigterm or trainer.interrupted):
            raise
        how = "stopped by SIGTERM" if is_sigterm else "interrupted"
        where = f"{how} at step {trainer.global_step}"
        remedy = "The same command with resume=true resumes."
        log.warning("%s: %s. %s", trainer.default_root_dir, where, remedy)
        raise SystemExit(128 + signal.SIGTERM if is_sigterm else INTERRUPTED) from ended


def _validate_short_run(
    trainer: pl.Trainer, module: SelectorModule, data: SelectorDataModule
) -> None:
    best = _best_checkpoint(trainer)
    if best is None or best.best_model_score is not None:
        return
    if trainer.global_step == 0 or trainer.limit_val_batches == 0:
        return
    trainer.validate(module, data, verbose=False)
    monitor, metrics = str(best.monitor), trainer.callback_metrics
    if monitor not in metrics:
        hint = did_you_mean(monitor, list(metrics))
        raise UserError(f"callbacks.best_checkpoint.monitor: {monitor} is not logged.{hint}")
    best.best_model_score = metrics[monitor]
    trainer.save_checkpoint(Path(str(best.dirpath)) / BEST_FILE, weights_only=True)


def _best_checkpoint(trainer: pl.Trainer) -> BestCheckpoint | None:
    """Return the callback that keeps best.ckpt; None if the run writes none."""
    found = [each for each in trainer.checkpoint_callbacks if isinstance(each, BestCheckpoint)]
    return found[0] if found and not trainer.fast_dev_run else None  # type: ignore[attr-defined]


def _describe(
    config: TrainConfig, tracks: Sequence[LabelledTracks], trainer: pl.Trainer
) -> dict[str, Any]:
    """Return the provenance of a checkpoint in plain types, with the trainer's actual settings."""
    index = tracks[0].readers[0].index
    described: dict[str, Any] = {
        "dataset": config.dataset.name,
        "train_split": config.dataset.train_split,
        "train_sources": list(config.data.train_sources),
        "valid_split": config.dataset.valid_split,
        "valid_sources": list(config.data.valid_sources),
        "tracks": [str(reader.tracks_dir) for each in tracks for reader in each.readers],
        **{key: index[key] for key in ("tracker", "checkpoint_sha256", "token_dim")},
        "text_encoder": config.text_encoder.name,
        "threshold": config.threshold,
        "seed": config.seed,
        **{name: dict(config.values[name] or {}) for name in RECORDED},
    }
    chosen = ("precision", "num_devices", "num_nodes", "check_val_every_n_epoch")
    described["trainer"] |= {name: getattr(trainer, name) for name in chosen}
    for name in ("strategy", "accelerator"):
        described["trainer"][name] = type(getattr(trainer, name)).__name__
    described["trainer"]["deterministic"] = torch.are_deterministic_algorithms_enabled()
    return described


def _report(trainer: pl.Trainer, config: TrainConfig) -> TrainingResult:
    best_path = Path(config.paths.output_dir) / BEST_FILE
    stopping: Any = trainer.early_stopping_callback
    if stopping is not None and stopping.stopped_epoch:
        reason = f"{stopping.monitor} did not get better in {stopping.patience} validations"
        log.info("stopped after epoch %d: %s", stopping.stopped_epoch + 1, reason)
    best = _best_checkpoint(trainer)
    if best is None or best.best_model_score is None:
        return TrainingResult(best_path, None)
    best_path = Path(best.dirpath or best_path.parent) / BEST_FILE
    jf = float(read_weights(best_path)[PROVENANCE_KEY]["metrics"][VALID_JF])
    sources = " and ".join(config.data.valid_sources)
    where = f"split {config.dataset.valid_split}, tracks of {sources}"
    log.info("%s: %s %.1f on %s", best_path, VALID_JF, 100 * jf, where)
    return TrainingResult(best_path, jf)
