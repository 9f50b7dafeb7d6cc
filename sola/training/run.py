"""What train.py does: a selector trained on finished tracks."""

import dataclasses
import logging
import re
import signal
import warnings
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback, EarlyStopping
from pytorch_lightning.loggers import Logger
from pytorch_lightning.utilities.exceptions import MisconfigurationException, SIGTERMException

from sola.config.device import pick_device
from sola.config.entry import EXPECTED_WARNINGS as OF_OTHER_PACKAGES
from sola.config.job import starts_processes
from sola.config.schema import SelectorConfig, TrainConfig
from sola.datasets import Split, open_dataset
from sola.errors import UserError
from sola.evaluation.scores import group_by_video
from sola.evaluation.tracks import VideoTracks, check_same_tokens
from sola.files import is_there
from sola.reporting.dashboard.board import Board
from sola.reporting.dashboard.loggers import finish_logger, make_logger
from sola.reporting.dashboard.origin import artifacts_of, git_state
from sola.selector import Selector, build_selector, check_selector
from sola.selector.checkpoint import load_selector
from sola.text import TextTokens
from sola.training.callbacks import (
    BEST_FILE,
    LAST_FILE,
    StepMetrics,
    TrainingProgress,
    make_checkpoints,
    make_options,
)
from sola.training.dashboard import GradientNorms, RunArtifacts, ValidationDashboard
from sola.training.data import SelectorDataModule
from sola.training.joint import JointReader
from sola.training.module import SelectorModule
from sola.training.resuming import WholeFileIO
from sola.training.scoring import VALID_JF, ValidationScorer
from sola.training.sources import LabelledTracks, open_tracks, tracks_dirs
from sola.weights_file import read_weights

log = logging.getLogger(__name__)

EXPECTED_WARNINGS = (
    *OF_OTHER_PACKAGES,
    ".*does not have many workers.*",  # tokens are read in a millisecond
    ".*smaller than the logging interval.*",
    ".*The dirpath has changed from.*",  # a run that goes on elsewhere has a best.ckpt of its own
    ".*directory .* exists and is not empty.*",  # Hydra's own files are there before us
    ".*recommended to use .self.log.*sync_dist=True.*",  # what is logged is of all processes
)


def run_training(config: TrainConfig) -> Path:
    """Trains a selector as a configuration asks for.

    The same seed gives the same result on a CPU; on a GPU, where some sums have no fixed order, it
    gives nearly the same.

    Returns:
        The checkpoint with the best valid/J&F: ``best.ckpt`` in the output folder. A run that goes
        on in its own folder chooses among all its epochs, one that goes on in another folder among
        those that are left; ``trainer.fast_dev_run`` writes none.

    Raises:
        UserError: if a GPU is asked for and none is there, data or tracks are missing or do not
            belong together, a width does not fit, a limit leaves no batch, or the checkpoint to
            resume from does not fit.
    """
    output_dir = Path(config.paths.output_dir)
    if config.resume and is_there(output_dir / LAST_FILE):
        config = dataclasses.replace(config, ckpt_path=str(output_dir / LAST_FILE))
    device = pick_device(config.trainer.accelerator)
    check_selector(**_arguments(config.selector))  # before data is read, which takes longer
    pl.seed_everything(config.seed, workers=True, verbose=False)
    if config.trainer.num_threads:
        torch.set_num_threads(config.trainer.num_threads)
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    train_split, valid_split = config.dataset.train_split, config.dataset.valid_split
    train_set, valid_set = open_dataset(config.dataset, train_split), _open_valid(config)
    train = open_tracks(config, train_set, config.data.train_sources, keep=_videos_kept(config))
    valid = open_tracks(config, valid_set, config.data.valid_sources)
    check_same_tokens(train.readers[0], valid.readers[0])
    _check_widths(config)
    selector = build_selector(**_arguments(config.selector))
    first_step = _check_resume(config, selector)
    is_dry = config.trainer.fast_dev_run
    logger = make_logger(
        config.logger,
        output_dir,
        job_type="train",
        is_dry=is_dry,
        first_step=first_step,
        goes_on=Path(config.ckpt_path or "").absolute() == (output_dir / LAST_FILE).absolute(),
    )
    text = TextTokens(Path(config.paths.data_dir) / "text", config.text_encoder)
    data = SelectorDataModule(
        (train_set.expressions, train),
        (valid_set.expressions, valid),
        text,
        config.data,
        seed=config.seed,
    )
    scorer = _make_scorer(valid, valid_set)
    module = SelectorModule(
        selector,
        config.loss,
        config.optimizer,
        scorer,
        threshold=config.threshold,
        provenance=_describe(config, train, valid),
    )
    with warnings.catch_warnings(), starts_processes():
        for message in EXPECTED_WARNINGS:
            warnings.filterwarnings("ignore", message)
        shown = [] if is_dry else _make_dashboard(config, logger, train, valid, scorer, valid_set)
        logger.log_hyperparams(
            dataclasses.asdict(config)
            | {"git": git_state(), "provenance": _describe(config, train, valid)}
        )
        trainer = _make_trainer(config, logger, shown, uses_gpu=device.type == "cuda")
        try:
            trainer.fit(module, data, ckpt_path=config.ckpt_path, weights_only=True)
        except MisconfigurationException as error:
            least = re.search(r"limit_\w+_batches=[\d.]+", str(error))
            if least is None:
                raise
            raise UserError(
                f"trainer.{least[0].split('=')[0]} is a share of less than one of the batches that "
                f"there are. Give at least trainer.{least[0]}."
            ) from error
        except SIGTERMException as stopped:  # whose own status is that of success
            log.warning(
                "%s: stopped by SIGTERM at step %d. The same command with resume=true goes on.",
                output_dir,
                trainer.global_step,
            )
            raise SystemExit(128 + signal.SIGTERM) from stopped
        finally:
            finish_logger(logger)
        _wait_for_processes(trainer)
    sources = " and ".join(config.data.valid_sources)
    return _report(trainer, output_dir, f"split {valid_split}, tracks of {sources}")


def _make_dashboard(
    config: TrainConfig,
    logger: Logger,
    train: LabelledTracks,
    valid: LabelledTracks,
    scorer: ValidationScorer,
    valid_set: Split,
) -> list[Callback]:
    board = Board(logger)
    readers = [
        own
        for reader in (*train.readers, *valid.readers)
        for own in (reader.readers.values() if isinstance(reader, JointReader) else [reader])
    ]
    best_path = Path(config.paths.output_dir) / BEST_FILE
    return [
        GradientNorms(config.logger.log_every_n_steps),
        RunArtifacts(
            board, artifacts_of(readers), best_path, keep_copy=config.logger.keep_checkpoint
        ),
        ValidationDashboard(
            board,
            config.logger,
            scorer,
            valid_set,
            scorer.read,
            threshold=config.threshold,
            sources=config.data.valid_sources,
        ),
    ]


def _make_trainer(
    config: TrainConfig, logger: Logger, shown: list[Callback], *, uses_gpu: bool
) -> pl.Trainer:
    trainer = config.trainer
    callbacks = [
        *make_checkpoints(Path(config.paths.output_dir), trainer),
        *make_options(trainer),
        StepMetrics(config.logger.log_every_n_steps),
        TrainingProgress(),
        *shown,
    ]
    return pl.Trainer(
        accelerator=trainer.accelerator,
        devices=trainer.devices,
        num_nodes=trainer.num_nodes,
        strategy=trainer.strategy,
        precision=trainer.precision,  # type: ignore[arg-type]  # a name that Lightning checks
        max_epochs=trainer.max_epochs,
        gradient_clip_val=trainer.gradient_clip_val or None,
        accumulate_grad_batches=trainer.accumulate_grad_batches,
        # a run shorter than that is validated at its end: best.ckpt comes from a validation
        check_val_every_n_epoch=min(trainer.check_val_every_n_epoch, trainer.max_epochs),
        fast_dev_run=trainer.fast_dev_run,
        limit_train_batches=_limit(trainer.limit_train_batches),
        limit_val_batches=_limit(trainer.limit_val_batches),
        num_sanity_val_steps=0,
        log_every_n_steps=config.logger.log_every_n_steps,
        use_distributed_sampler=False,  # the data module deals out the samples
        plugins=[WholeFileIO()],
        logger=logger,
        callbacks=callbacks,
        default_root_dir=config.paths.output_dir,
        enable_progress_bar=False,
        enable_model_summary=False,
        deterministic="warn" if uses_gpu else None,  # on a CPU everything is
    )


def _wait_for_processes(trainer: pl.Trainer) -> None:
    """Those of the other devices: the next job of a sweep has the machine for itself."""
    for process in getattr(trainer.strategy.launcher, "procs", []):
        process.wait()


def _videos_kept(config: TrainConfig) -> int:
    """Those of a window, where a video's expressions are in several steps."""
    is_whole = config.data.group_by == "video" and config.data.max_tokens is None
    return 1 if is_whole else config.data.window


def _limit(value: float) -> int | float:
    """A share of the batches up to 1, a number of them above."""
    return int(value) if value > 1 else float(value)


def _arguments(config: SelectorConfig) -> dict[str, Any]:
    """Those of ``build_selector``."""
    values = {key: value for key, value in vars(config).items() if value is not None}
    options = values.pop("options")
    shared = sorted(vars(config).keys() & options.keys())
    if shared:
        raise UserError(
            f"selector.options.{shared[0]}: is a key of its own. Say selector.{shared[0]}=..."
        )
    return values | options


def _make_scorer(tracks: LabelledTracks, dataset: Split) -> ValidationScorer:
    expressions = group_by_video(dataset.expressions)

    def read(video_id: str) -> VideoTracks:
        return tracks.sources.read(expressions[video_id])

    return ValidationScorer(read, dataset.ground_truth)


def _open_valid(config: TrainConfig) -> Split:
    dataset = open_dataset(config.dataset, config.dataset.valid_split)
    if not dataset.has_masks:
        raise UserError(
            f"{dataset.split_dir}: split {dataset.split} has no ground truth to measure J&F with. "
            "Set dataset.valid_split to one that has."
        )
    return dataset


def _check_widths(config: TrainConfig) -> None:
    if config.selector.text_dim != config.text_encoder.dim:
        raise UserError(
            f"selector.text_dim is {config.selector.text_dim}, text tokens of "
            f"{config.text_encoder.name} are {config.text_encoder.dim} wide. Set "
            f"selector.text_dim={config.text_encoder.dim}."
        )


def _check_resume(config: TrainConfig, selector: Selector) -> int:
    """A run goes on only from a last.ckpt of the same network; returns the steps that it had."""
    if config.ckpt_path is None:
        return 0
    found, _ = load_selector(Path(config.ckpt_path))
    for key, wanted in selector.description.items():
        own = found.description.get(key)
        if own != wanted and "dropout" not in key:
            name = key if key in vars(config.selector) else f"options.{key}"
            raise UserError(
                f"{config.ckpt_path}: its selector has {key}={own}, selector.{name} is {wanted}. "
                "Resume with the configuration that the run was started with."
            )
    content = read_weights(Path(config.ckpt_path))
    if "optimizer_states" not in content:
        raise UserError(
            f"{config.ckpt_path}: has weights, but no state of the optimiser to resume from. Use "
            f"the run's {LAST_FILE}."
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
        **{
            name: dataclasses.asdict(vars(config)[name])
            for name in ("optimizer", "data", "trainer")
        },
    }


def _report(trainer: pl.Trainer, output_dir: Path, valid: str) -> Path:
    best_path = output_dir / BEST_FILE
    stopping = trainer.early_stopping_callback
    if isinstance(stopping, EarlyStopping) and stopping.stopped_epoch:
        log.info(
            "stopped after epoch %d: %s did not get better in %d validations",
            stopping.stopped_epoch + 1,
            VALID_JF,
            stopping.patience,
        )
    monitor = trainer.checkpoint_callback
    score = getattr(monitor, "best_model_score", None)
    if score is not None:
        log.info("%s: %s %.1f on %s", best_path, VALID_JF, 100 * float(score), valid)
    return best_path
