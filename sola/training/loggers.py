"""Where the numbers of a run go: a CSV file, or Weights & Biases."""

import csv
import logging
import os
import warnings
from netrc import NetrcParseError, netrc
from pathlib import Path
from urllib.parse import urlsplit

from pytorch_lightning.loggers import CSVLogger, Logger, WandbLogger
from pytorch_lightning.loggers.logger import DummyLogger

from sola.config.schema import LoggerConfig
from sola.config.validation import LOGGERS

log = logging.getLogger(__name__)

WANDB_DIRS = {
    # all four, or tables land in the home folder
    "WANDB_DIR": "",
    "WANDB_DATA_DIR": "wandb/data",
    "WANDB_CACHE_DIR": "wandb/cache",
    "WANDB_CONFIG_DIR": "wandb/config",
}
OFFLINE_MODES = ("offline", "dryrun")
"""Values of WANDB_MODE, the second an older name of the first."""
NETRC_FILES = ("~/.netrc", "~/_netrc")


def make_logger(
    config: LoggerConfig, output_dir: Path, *, is_dry: bool = False, first_step: int = 0
) -> Logger:
    """The logger of a run; says which, as the run's first line.

    Args:
        config: which.
        output_dir: folder of the run.
        is_dry: nothing is written (``trainer.fast_dev_run``).
        first_step: optimiser steps done before, by a run that this one goes on with; a CSV file
            that is there keeps its rows of these.

    Raises:
        ValueError: if the name is not known, or the file that logins are kept in cannot be read.
    """
    if is_dry:
        log.info("logger: none, trainer.fast_dev_run writes nothing")
        return DummyLogger()
    if config.name == "csv":
        log.info("logger: CSV, %s", output_dir / "metrics.csv")
        return _make_csv(output_dir, first_step)
    if config.name == "wandb":
        return _make_wandb(config, output_dir)
    raise ValueError(f"logger.name={config.name}: not known; choose one of {LOGGERS}.")


def finish_logger(logger: Logger) -> None:
    """Ends a run of W&B, so that the next job of a sweep gets a run of its own."""
    if isinstance(logger, WandbLogger):
        logger.experiment.finish()


def _make_csv(output_dir: Path, first_step: int) -> Logger:
    logger = CSVLogger(save_dir=output_dir, name="", version="")
    path = output_dir / "metrics.csv"
    if first_step == 0 or not path.is_file() or os.environ.get("LOCAL_RANK", "0") != "0":
        return logger
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*exists and is not empty.*")
        experiment = logger.experiment  # deletes the file
    done = [row for row in rows if row.get("step", "").isdigit() and int(row["step"]) < first_step]
    experiment.metrics += [{k: v for k, v in row.items() if v} for row in done]
    experiment.save()
    return logger


def _make_wandb(config: LoggerConfig, output_dir: Path) -> Logger:
    for name, folder in WANDB_DIRS.items():
        path = Path(os.environ.setdefault(name, str((output_dir / folder).absolute())))
        path.mkdir(parents=True, exist_ok=True)
    mode = os.environ.get("WANDB_MODE", "")
    is_offline = mode in OFFLINE_MODES or (not mode and not _is_logged_in())
    if mode == "disabled":
        log.info("logger: W&B, disabled by WANDB_MODE")
    elif is_offline:
        why = "WANDB_MODE" if mode else "nobody is logged in"
        runs = output_dir / "wandb" / "offline-run-*"
        log.info("logger: W&B, offline (%s); later: wandb sync %s", why, runs)
    else:
        log.info("logger: W&B, online, project %s", config.project)
    # Not Lightning's own offline=True: it sets WANDB_MODE, for the next job of a sweep as well.
    return WandbLogger(
        project=config.project, save_dir=output_dir, mode="offline" if is_offline else None
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
        raise ValueError(
            f"{netrc_path}: not readable as a file of logins ({error}). Mend it, or set "
            "WANDB_MODE=offline, or choose logger=csv."
        ) from error
