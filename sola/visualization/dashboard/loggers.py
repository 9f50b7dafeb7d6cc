"""Where the numbers of a run go: a CSV file, TensorBoard, or Weights & Biases."""

import inspect
import logging
import os
from netrc import NetrcParseError, netrc
from pathlib import Path
from urllib.parse import urlsplit

from pytorch_lightning.loggers import Logger
from pytorch_lightning.loggers.logger import DummyLogger

from sola.config.job import name_job
from sola.config.targets import Later, locate
from sola.errors import UserError
from sola.visualization.dashboard.csv_file import RowsFile
from sola.visualization.dashboard.tensorboard import TensorBoardRun
from sola.visualization.dashboard.wandb_run import WandbRun

log = logging.getLogger(__name__)

OFFLINE_MODES = ("offline", "dryrun")
"""Values of WANDB_MODE, the second an older name of the first."""
NETRC_FILES = ("~/.netrc", "~/_netrc")
NOT_IN_PROJECTS = frozenset("/\\#?%:")
MAX_PROJECT = 128
TENSORBOARD_DIR = "tensorboard"
"""In the folder of a run."""


def make_logger(
    node: Later[Logger] | None,
    *,
    job_type: str,
    is_dry: bool = False,
    first_step: int = 0,
    goes_on: bool = False,
) -> Logger:
    """The logger of a run; says which, as the run's first line.

    Args:
        node: of the group logger; None: nothing is logged.
        job_type: what the run does, by which W&B can group: train or generate.
        is_dry: nothing is written (``trainer.fast_dev_run``).
        first_step: optimiser steps done before, by a run that this one resumes; a CSV file keeps
            its rows of these, and TensorBoard hides later ones.
        goes_on: that run is the folder's own, and so is its run of W&B.

    Raises:
        UserError: if the constructor refuses a value.
    """
    if is_dry or node is None:
        log.info("logger: none%s", ", trainer.fast_dev_run writes nothing" if is_dry else "")
        return DummyLogger()
    state = {"job_type": job_type, "first_step": first_step, "goes_on": goes_on}
    taken = inspect.signature(locate(node.node["_target_"], node.key)).parameters
    made = node(**{name: value for name, value in state.items() if name in taken})
    if node.node["_target_"].startswith("sola."):
        return made
    log.info("logger: %s", type(made).__name__)
    return made


def csv_logger(save_dir: str | Path, *, first_step: int = 0) -> Logger:
    """metrics.csv in a folder: numbers only.

    Args:
        save_dir: folder of the run.
        first_step: see ``make_logger``.
    """
    log.info("logger: CSV, %s", Path(save_dir) / "metrics.csv")
    return RowsFile(Path(save_dir), first_step)


def tensorboard_logger(save_dir: str | Path, *, first_step: int = 0) -> Logger:
    """TensorBoard's files below a folder.

    Args:
        save_dir: folder of the run.
        first_step: see ``make_logger``.
    """
    folder = Path(save_dir) / TENSORBOARD_DIR
    log.info("logger: TensorBoard; to look at: tensorboard --logdir %s", folder)
    return TensorBoardRun(
        save_dir=save_dir,
        name="",
        version=TENSORBOARD_DIR,
        default_hp_metric=False,
        purge_step=first_step or None,
    )


def wandb_logger(
    save_dir: str | Path,
    project: str = "sola",
    entity: str | None = None,
    group: str | None = None,
    name: str | None = None,
    *,
    job_type: str = "train",
    goes_on: bool = False,
) -> Logger:
    """A run of Weights & Biases, offline when nobody is logged in.

    Args:
        save_dir: folder of the run.
        project: of W&B.
        entity: user or team; None: the default of the login.
        group: runs of a group are shown together; None: those of a sweep, by its folder's name.
        name: of the run; None: its overrides, such as "seed=1".
        job_type: see ``make_logger``.
        goes_on: see ``make_logger``.

    Raises:
        UserError: if W&B takes no such project, or the file that keeps logins cannot be read.
    """
    if set(project) & NOT_IN_PROJECTS or not 0 < len(project) <= MAX_PROJECT:
        raise UserError(
            f"project: must have 1 to {MAX_PROJECT} characters, none of "
            f"{' '.join(sorted(NOT_IN_PROJECTS))}, got {project!r}."
        )
    mode = os.environ.get("WANDB_MODE", "")
    is_offline = mode in OFFLINE_MODES or (not mode and not _is_logged_in())
    if mode == "disabled":
        log.info("logger: none, W&B is disabled by WANDB_MODE")
        return DummyLogger()
    if is_offline:
        why = "WANDB_MODE" if mode else "nobody is logged in"
        runs = Path(save_dir) / "wandb" / "offline-run-*"
        log.info("logger: W&B, offline (%s); later: wandb sync %s", why, runs)
    else:
        log.info("logger: W&B, online, project %s", project)
    job = name_job()
    return WandbRun(
        Path(save_dir),
        project=project,
        is_offline=is_offline,
        goes_on=goes_on,
        job_type=job_type,
        group=group or job.sweep,
        name=name or job.overrides,
        **({} if entity is None else {"entity": entity}),
    )


def finish_logger(logger: Logger) -> None:
    """Ends a run, so that the next job of a sweep gets one of its own."""
    if isinstance(logger, WandbRun):
        logger.end()
    else:
        logger.finalize("success")


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
            f"{netrc_path}: not readable as a file of logins ({error}). Fix it, or set "
            "WANDB_MODE=offline, or choose logger=csv."
        ) from error
