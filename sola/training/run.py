"""The task of train.py: train a selector on finished tracks."""

import logging
import signal
import warnings
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback, EarlyStopping
from pytorch_lightning.loggers import Logger
from pytorch_lightning.utilities.exceptions import MisconfigurationException, SIGTERMException

from sola.config.device import check_precision, pick_device
from sola.config.entry import EXPECTED_WARNINGS as OF_OTHER_PACKAGES
from sola.config.entry_points import TrainConfig
from sola.config.job import is_first_process, starts_processes
from sola.config.targets import check_kind
from sola.datasets import Split
from sola.errors import INTERRUPTED, UserError, did_you_mean
from sola.evaluation.scores import group_by_video
from sola.evaluation.tracks import TrackReader, VideoTracks, check_same_tokens
from sola.files import is_there
from sola.selector import Selector
from sola.selector.base import PROVENANCE_KEY
from sola.selector.checkpoint import load_selector
from sola.text import TextTokens
from sola.training.callbacks import BEST_FILE, BestCheckpoint, StepMetrics, TrainingProgress
from sola.training.dashboard import GradientNorms, ValidationDashboard, record_checkpoint
from sola.training.data import SelectorDataModule
from sola.training.joint import JointReader
from sola.training.module import SelectorModule
from sola.training.optimization import choose_fused
from sola.training.resuming import LAST_FILE, Resumption, WholeFileIO
from sola.training.scoring import VALID_JF, ValidationScorer
from sola.training.sources import LabelledTracks, open_tracks, tracks_dirs
from sola.visualization.dashboard.board import Board, git_state, record_inputs
from sola.visualization.dashboard.loggers import finish_logger, make_logger
from sola.weights_file import read_weights

log = logging.getLogger(__name__)

EXPECTED_WARNINGS = (
    *OF_OTHER_PACKAGES,
    ".*does not have many workers.*",  # tokens are read in a millisecond
    ".*smaller than the logging interval.*",
    ".*The dirpath has changed from.*",  # a run that resumes elsewhere has a best.ckpt of its own
    ".*directory .* exists and is not empty.*",  # Hydra's own files are there before us
    ".*recommended to use .self.log.*sync_dist=True.*",  # what is logged is of all processes
    ".*could not find the monitored key.*",  # a run that ends before its first validation
)
RUN_FILES = (LAST_FILE, BEST_FILE, "metrics.csv")
"""Any of these in an output folder: it holds a run."""
RECORDED = ("loss", "optimizer", "scheduler", "data", "trainer")
"""Sections of the configuration that a checkpoint carries."""


@dataclass(frozen=True)
class TrainingResult:
    """What a training ends with."""

    best_path: Path
    """The best checkpoint, by callbacks.best_checkpoint.monitor: best.ckpt in the output folder."""
    valid_jf: float | None
    """Its valid/J&F, in [0, 1]; None if nothing was validated."""


def run_training(config: TrainConfig) -> Path:
    """Train a selector; returns its best checkpoint, see ``train``."""
    return train(config).best_path


def train(config: TrainConfig) -> TrainingResult:
    """Train a selector.

    The same seed gives the same result on a CPU; on a GPU, where some sums have no fixed order, it
    gives nearly the same. A run that resumes in its own folder chooses its best checkpoint among
    all its epochs, one that resumes in another folder among those that are left;
    ``trainer.fast_dev_run`` writes none.

    Raises:
        UserError: if a GPU is requested and none is there, data or tracks are missing or do not
            belong together, a width does not fit, a limit leaves no batch, the output folder holds
            another run, or the checkpoint to resume from does not fit.
    """
    output_dir = Path(config.paths.output_dir)
    if config.resume and is_there(output_dir / LAST_FILE):
        config = replace_ckpt(config, output_dir / LAST_FILE)
    is_dry = bool(config.trainer.node.get("fast_dev_run"))
    goes_on = Path(config.ckpt_path or "").absolute() == (output_dir / LAST_FILE).absolute()
    if not (is_dry or config.resume or goes_on) and is_first_process():
        _refuse_used_folder(output_dir)
    device = pick_device(str(config.trainer.node.get("accelerator", "auto")))
    check_precision(config.trainer.node.get("precision"), device)
    pl.seed_everything(config.seed, workers=True, verbose=False)
    if config.num_threads:
        torch.set_num_threads(config.num_threads)
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    logging.getLogger("pytorch_lightning.profilers").setLevel(logging.INFO)  # trainer.profiler
    selector = config.selector()
    check_kind(selector, Selector, "selector")
    callbacks = _make_callbacks(config)
    config.optimizer(selector.parameters())  # refuses its values before data is read
    train_set = config.dataset.open(config.dataset.train_split)
    valid_set = _open_valid(config)
    train_tracks = open_tracks(
        config, train_set, config.data.train_sources, keep=_videos_kept(config)
    )
    valid_tracks = open_tracks(config, valid_set, config.data.valid_sources)
    check_same_tokens(train_tracks.readers[0], valid_tracks.readers[0])
    _check_widths(config, selector, train_tracks)
    first_step = _check_resume(config, selector)
    logger = make_logger(
        config.logger, job_type="train", is_dry=is_dry, first_step=first_step, goes_on=goes_on
    )
    text = TextTokens(Path(config.paths.data_dir) / "text", config.text_encoder)
    data = SelectorDataModule(
        (train_set.expressions, train_tracks),
        (valid_set.expressions, valid_tracks),
        text,
        config.data,
        seed=config.seed,
    )
    scorer = _make_scorer(valid_tracks, valid_set)
    provenance = _describe(config, train_tracks, valid_tracks)
    precision = str(config.trainer.node.get("precision") or "32-true")
    optimizer = choose_fused(config.optimizer, is_mixed=precision.endswith("-mixed"))
    provenance["optimizer"] = dict(optimizer.node)
    module = SelectorModule(
        selector,
        config.loss,
        optimizer,
        config.scheduler,
        scorer,
        threshold=config.threshold,
    )
    with warnings.catch_warnings(), starts_processes():
        for message in EXPECTED_WARNINGS:
            warnings.filterwarnings("ignore", message)
        board = Board(logger)
        shown = [] if is_dry else _make_dashboard(config, board, scorer, valid_set)
        every_n_steps = int(config.trainer.node.get("log_every_n_steps") or 50)
        callbacks += [Resumption(), StepMetrics(every_n_steps), TrainingProgress(), *shown]
        trainer = _make_trainer(config, logger, callbacks, uses_gpu=device.type == "cuda")
        provenance["trainer"] |= _as_done(trainer)
        module.provenance = provenance
        board.log_config(config.values | {"git": git_state(), "provenance": provenance})
        record_inputs(board, _readers(train_tracks, valid_tracks))
        try:
            _fit(trainer, module, data, config.ckpt_path)
            keep_copy = config.dashboard.keep_checkpoint
            record_checkpoint(board, output_dir / BEST_FILE, keep_copy=keep_copy)
        except SIGTERMException as stopped:  # whose own status is that of success
            log.warning(
                "%s: stopped by SIGTERM at step %d. The same command with resume=true resumes.",
                output_dir,
                trainer.global_step,
            )
            raise SystemExit(128 + signal.SIGTERM) from stopped
        except SystemExit as ended:  # Lightning's own after Ctrl-C, with status 1
            if not trainer.interrupted:
                raise
            log.warning(
                "%s: interrupted at step %d. Add resume=true to resume.",
                output_dir,
                trainer.global_step,
            )
            raise SystemExit(INTERRUPTED) from ended
        finally:
            finish_logger(logger)
        _wait_for_processes(trainer)
    sources = " and ".join(config.data.valid_sources)
    split = f"split {config.dataset.valid_split}, tracks of {sources}"
    return _report(trainer, output_dir, split)


def replace_ckpt(config: TrainConfig, path: Path) -> TrainConfig:
    """The same run, resumed from a checkpoint."""
    resumed = replace(config, ckpt_path=str(path), resume=False)
    resumed.values = config.values
    return resumed


def _fit(
    trainer: pl.Trainer, module: SelectorModule, data: SelectorDataModule, ckpt_path: str | None
) -> None:
    """Train, and validate once if the run was too short for a validation of its own."""
    try:
        trainer.fit(module, data, ckpt_path=ckpt_path, weights_only=True)
    except MisconfigurationException as error:
        raise UserError(f"trainer: {error}") from error
    best = next((each for each in _checkpoints(trainer) if isinstance(each, BestCheckpoint)), None)
    if best is None or trainer.fast_dev_run or best.best_model_score is not None:  # type: ignore[attr-defined]
        return
    if trainer.interrupted or trainer.global_step == 0:
        return
    trainer.validate(module, data, verbose=False)
    assert best.dirpath is not None
    best.best_model_score = trainer.callback_metrics.get(best.monitor or VALID_JF)
    if best.best_model_score is None:
        raise UserError(
            f"callbacks.best_checkpoint.monitor: {best.monitor} is not logged."
            f"{did_you_mean(str(best.monitor), list(trainer.callback_metrics))}"
        )
    trainer.save_checkpoint(Path(best.dirpath) / BEST_FILE, weights_only=True)


def _make_callbacks(config: TrainConfig) -> list[Callback]:
    """Those of the configuration; a function may return None for one that is off."""
    made = []
    for node in config.callbacks.values():
        callback = node()
        if callback is not None:
            check_kind(callback, Callback, node.key)
            made.append(callback)
    return made


def _checkpoints(trainer: pl.Trainer) -> list[Any]:
    return list(trainer.checkpoint_callbacks)


def _refuse_used_folder(output_dir: Path) -> None:
    found = [name for name in RUN_FILES if (output_dir / name).is_file()]
    if found:
        raise UserError(
            f"{output_dir}: holds a run already ({found[0]}). Add resume=true to resume it, or "
            "choose another hydra.run.dir."
        )


def _make_dashboard(
    config: TrainConfig, board: Board, scorer: ValidationScorer, valid_set: Split
) -> list[Callback]:
    return [
        GradientNorms(int(config.trainer.node.get("log_every_n_steps") or 50)),
        ValidationDashboard(
            board,
            scorer,
            valid_set,
            threshold=config.threshold,
            sources=config.data.valid_sources,
            num_examples=config.dashboard.num_examples,
            every_n_validations=config.dashboard.examples_every_n_validations,
            num_frames=config.dashboard.example_frames,
        ),
    ]


def _readers(train: LabelledTracks, valid: LabelledTracks) -> list[TrackReader]:
    """Readers of all tracks, those of joined data sets one by one."""
    return [
        own
        for reader in (*train.readers, *valid.readers)
        for own in (reader.readers.values() if isinstance(reader, JointReader) else [reader])
    ]


def _make_trainer(
    config: TrainConfig, logger: Logger, callbacks: list[Callback], *, uses_gpu: bool
) -> pl.Trainer:
    node = config.trainer.node
    options: dict[str, Any] = {
        "logger": logger,
        "callbacks": callbacks,
        "default_root_dir": config.paths.output_dir,
        "use_distributed_sampler": False,  # the data module shards the samples
        "enable_progress_bar": False,
        "enable_model_summary": False,
    }
    if not node.get("plugins"):
        options["plugins"] = [WholeFileIO()]
    if node.get("deterministic") is None:
        options["deterministic"] = "warn" if uses_gpu else None  # on a CPU everything is
    epochs, max_epochs = node.get("check_val_every_n_epoch"), node.get("max_epochs")
    if epochs and max_epochs and 0 < max_epochs < epochs:
        options["check_val_every_n_epoch"] = max_epochs  # best.ckpt comes from a validation
    return config.trainer(**options)


def _as_done(trainer: pl.Trainer) -> dict[str, Any]:
    """What the machine chose, in plain values."""
    return {
        "precision": str(trainer.precision),
        "strategy": type(trainer.strategy).__name__,
        "accelerator": type(trainer.accelerator).__name__,
        "num_devices": trainer.num_devices,
        "num_nodes": trainer.num_nodes,
        "check_val_every_n_epoch": trainer.check_val_every_n_epoch,
        "deterministic": torch.are_deterministic_algorithms_enabled(),
    }


def _wait_for_processes(trainer: pl.Trainer) -> None:
    """Those of the other devices: the next job of a sweep has the machine for itself."""
    for process in getattr(trainer.strategy.launcher, "procs", []):
        process.wait()


def _videos_kept(config: TrainConfig) -> int:
    """Those of a window, where a video's expressions are in several steps."""
    is_whole = config.data.group_by == "video" and config.data.max_tokens is None
    return 1 if is_whole else config.data.window


def _make_scorer(tracks: LabelledTracks, dataset: Split) -> ValidationScorer:
    expressions = group_by_video(dataset.expressions)

    def read(video_id: str) -> VideoTracks:
        return tracks.sources.read(expressions[video_id])

    return ValidationScorer(read, dataset.ground_truth)


def _open_valid(config: TrainConfig) -> Split:
    dataset = config.dataset.open(config.dataset.valid_split)
    if not dataset.has_masks:
        raise UserError(
            f"{dataset.split_dir}: split {dataset.split} has no ground truth to measure J&F with. "
            "Set dataset.valid_split to one that has."
        )
    return dataset


def _check_widths(config: TrainConfig, selector: Selector, tracks: LabelledTracks) -> None:
    """Refuse a selector whose widths are not those of its inputs."""
    where = tracks.readers[0].tracks_dir
    for key, width, what in (
        ("token_dim", tracks.sources.token_dim, f"object tokens in {where}"),
        ("text_dim", config.text_encoder.dim, f"text tokens of {config.text_encoder.name}"),
    ):
        found = selector.kwargs.get(key, width)
        if found != width:
            raise UserError(
                f"selector.{key}: must be {width}, the width of {what}, got {found}. Set "
                f"selector.{key}={width}."
            )


def _check_resume(config: TrainConfig, selector: Selector) -> int:
    """A run can only resume from a last.ckpt of the same network; returns the steps it had."""
    if config.ckpt_path is None:
        return 0
    path = Path(config.ckpt_path)
    found, _ = load_selector(path, own=(str(config.selector.node["_target_"]),))
    for key, wanted in selector.description.items():
        own = found.description.get(key)
        if own != wanted and "dropout" not in key:
            raise UserError(
                f"{path}: its selector has {key}={own}, this run requests selector.{key}={wanted}. "
                "Resume with the configuration that the run was started with."
            )
    content = read_weights(path)
    if "optimizer_states" not in content:
        raise UserError(
            f"{path}: has weights, but no optimizer state to resume from. Use the run's "
            f"{LAST_FILE}."
        )
    return int(content["global_step"])


def _describe(config: TrainConfig, train: LabelledTracks, valid: LabelledTracks) -> dict[str, Any]:
    """What a checkpoint says of its origin, in plain types."""
    index = train.readers[0].index
    return {
        "dataset": config.dataset.name,
        "train_split": config.dataset.train_split,
        "train_sources": list(config.data.train_sources),
        "valid_split": config.dataset.valid_split,
        "valid_sources": list(config.data.valid_sources),
        "tracks": [*tracks_dirs(train), *tracks_dirs(valid)],
        "tracker": str(index["tracker"]),
        "checkpoint_sha256": str(index["checkpoint_sha256"]),
        "token_dim": int(index["token_dim"]),
        "text_encoder": config.text_encoder.name,
        "seed": config.seed,
        **{name: dict(config.values[name] or {}) for name in RECORDED},
    }


def _report(trainer: pl.Trainer, output_dir: Path, valid: str) -> TrainingResult:
    best_path = output_dir / BEST_FILE
    stopping = trainer.early_stopping_callback
    if isinstance(stopping, EarlyStopping) and stopping.stopped_epoch:
        log.info(
            "stopped after epoch %d: %s did not get better in %d validations",
            stopping.stopped_epoch + 1,
            stopping.monitor,
            stopping.patience,
        )
    best = next((each for each in _checkpoints(trainer) if isinstance(each, BestCheckpoint)), None)
    if best is None or best.best_model_score is None:
        return TrainingResult(best_path, None)
    best_path = Path(best.dirpath or output_dir) / BEST_FILE
    jf, monitored = float(best.best_model_score), ""
    if best.monitor != VALID_JF:
        monitored = f" (best {best.monitor}: {jf:.4g})"
        jf = float(read_weights(best_path)[PROVENANCE_KEY]["metrics"][VALID_JF])
    log.info("%s: %s %.1f on %s%s", best_path, VALID_JF, 100 * jf, valid, monitored)
    return TrainingResult(best_path, jf)
