"""Where the numbers of a run go: a CSV file, TensorBoard, or Weights & Biases."""

import logging
import os
from netrc import NetrcParseError, netrc
from pathlib import Path
from urllib.parse import urlsplit

from pytorch_lightning.loggers import Logger
from pytorch_lightning.loggers.logger import DummyLogger

from sola.config.job import name_job
from sola.config.schema import LoggerConfig
from sola.config.sections import LOGGERS
from sola.errors import UserError
from sola.reporting.dashboard.csv_file import RowsFile
from sola.reporting.dashboard.tensorboard import TensorBoardRun
from sola.reporting.dashboard.wandb_run import WandbRun

log = logging.getLogger(__name__)

OFFLINE_MODES = ("offline", "dryrun")
"""Values of WANDB_MODE, the second an older name of the first."""
NETRC_FILES = ("~/.netrc", "~/_netrc")
TENSORBOARD_DIR = "tensorboard"
"""In the folder of a run."""


def make_logger(
    config: LoggerConfig,
    output_dir: Path,
    *,
    job_type: str,
    is_dry: bool = False,
    first_step: int = 0,
    goes_on: bool = False,
) -> Logger:
    """The logger of a run; says which, as the run's first line.

    Args:
        config: which.
        output_dir: folder of the run.
        job_type: what the run does, by which W&B can group: train or generate.
        is_dry: nothing is written (``trainer.fast_dev_run``).
        first_step: optimiser steps done before, by a run that this one goes on with; a CSV file
            that is there keeps its rows of these, and TensorBoard hides later ones.
        goes_on: that run is the folder's own, and so is its run of W&B.

    Raises:
        UserError: if the name is not known, or the file that logins are kept in cannot be read.
    """
    if is_dry:
        log.info("logger: none, trainer.fast_dev_run writes nothing")
        return DummyLogger()
    if config.name == "csv":
        log.info("logger: CSV, %s", output_dir / "metrics.csv")
        return RowsFile(output_dir, first_step)
    if config.name == "tensorboard":
        folder = output_dir / TENSORBOARD_DIR
        log.info("logger: TensorBoard; to look at: tensorboard --logdir %s", folder)
        return TensorBoardRun(
            save_dir=output_dir,
            name="",
            version=TENSORBOARD_DIR,
            default_hp_metric=False,
            purge_step=first_step or None,
        )
    if config.name == "wandb":
        return _make_wandb(config, output_dir, job_type, goes_on=goes_on)
    raise UserError(f"logger.name={config.name}: not known; choose one of {LOGGERS}.")


def finish_logger(logger: Logger) -> None:
    """Ends a run, so that the next job of a sweep gets one of its own."""
    if isinstance(logger, WandbRun):
        logger.end()
    else:
        logger.finalize("success")


def _make_wandb(config: LoggerConfig, output_dir: Path, job_type: str, *, goes_on: bool) -> Logger:
    mode = os.environ.get("WANDB_MODE", "")
    is_offline = mode in OFFLINE_MODES or (not mode and not _is_logged_in())
    if mode == "disabled":
        log.info("logger: none, W&B is disabled by WANDB_MODE")
        return DummyLogger()
    if is_offline:
        why = "WANDB_MODE" if mode else "nobody is logged in"
        runs = output_dir / "wandb" / "offline-run-*"
        log.info("logger: W&B, offline (%s); later: wandb sync %s", why, runs)
    else:
        log.info("logger: W&B, online, project %s", config.project)
    job = name_job()
    return WandbRun(
        output_dir,
        project=config.project,
        is_offline=is_offline,
        goes_on=goes_on,
        job_type=job_type,
        group=config.group or job.sweep,
        name=config.run_name or job.overrides,
    )


def _is_logged_in() -> bool:
    """Whether W&B will find a login; asked of it, it would settle on being online."""
    if os.environ.get("WANDB_API_KEY") or os.environ.get("WANDB_IDENTITY_TOKEN_FILE"):
        return True
    url = os.environ.get("WANDB_BASE_URL") or "https://api.wandb.ai"
    names = (os.environ["NETRC"],) if os.environ.get("NETRC") else NETRC_FILES
    paths = (Path(name).expanduser() for name in names)
    return any(_has_login(path, urlsplit(url).hostname or "") for path in paths if path.is_file())


def _has_login(netrc_path: Path, host: str) -> bool:
    try:
        return netrc(netrc_path).authenticators(host) is not None
    except NetrcParseError as error:
        raise UserError(
            f"{netrc_path}: not readable as a file of logins ({error}). Mend it, or set "
            "WANDB_MODE=offline, or choose logger=csv."
        ) from error
