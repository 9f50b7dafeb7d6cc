"""Support for jobs of several processes, alone or in a sweep."""

import os
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from hydra.conf import HydraConf
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, read_write

RANK_VARIABLES = ("LOCAL_RANK", "NODE_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
"""Environment variables that give a process its rank; if set, Lightning starts no other ranks."""
UNNAMED = ("data_root=", "paths.", "logger", "resume=")
"""Prefixes of overrides left out of a job's name, like those that contain a slash."""
STARTED_BY = "SOLA_STARTED_BY"
"""Environment variable with the process that started the other ranks."""
LOOK_EVERY_S = 1.0
MAX_NAME = 128
"""Maximum length of a W&B name."""


@dataclass(frozen=True)
class JobName:
    """Names of a job for loggers."""

    sweep: str | None
    """Folder name of the sweep; None for a single run."""
    overrides: str | None
    """Overrides of the job, without paths; None if there are none."""


def name_job() -> JobName:
    """Return the names of this job; all None outside a Hydra program."""
    if not HydraConfig.initialized():
        return JobName(None, None)
    job = HydraConfig.get()
    overrides = job.overrides.task
    words = [word for word in overrides if not (word.startswith(UNNAMED) or "/" in word)]
    while len(" ".join(words)) > MAX_NAME:
        words.pop(0)  # overrides that differ between runs are usually typed last
    sweep = Path(job.sweep.dir).name if job.mode == RunMode.MULTIRUN else None
    return JobName(sweep, " ".join(words) or None)


@contextmanager
def separate_job(words: Sequence[str] = ()) -> Iterator[None]:
    """Give a job the command line, run folder and environment from which it starts other ranks.

    Lightning starts other ranks with the command line of this process and the folder
    ``hydra.run.dir``. In a sweep, that command line is of all jobs, and no job uses that folder.

    Args:
        words: words of the command line before the overrides, such as "train" in ``sola train``.
    """
    argv, variables = sys.argv, {name: os.environ.get(name) for name in RANK_VARIABLES}
    job = HydraConfig.get()
    _end_with_parent()
    sys.argv = [sys.argv[0], *words, *sys.argv[1:]]
    if job.mode == RunMode.MULTIRUN:
        sys.argv = _own_command(job, words)
        with read_write(cast(DictConfig, job)):
            job.run.dir = job.runtime.output_dir
    try:
        yield
    finally:
        sys.argv = argv
        _leave_process_group()
        for name, value in variables.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _own_command(job: HydraConf, words: Sequence[str]) -> list[str]:
    """Return the command line of this job of a sweep, without its folder, which Lightning adds."""
    sources = {source.provider: source.path for source in job.runtime.config_sources}
    flags = [f"--config-name={job.job.config_name}", f"--config-path={sources['main']}"]
    if "command-line" in sources:
        flags.append(f"--config-dir={sources['command-line']}")
    search = [line for line in job.overrides.hydra if line.startswith("hydra.searchpath")]
    return [sys.argv[0], *words, *flags, *job.overrides.task, *search, "hydra.mode=RUN"]


def is_first_process() -> bool:
    """Return whether this is rank 0 of the job, over all devices and nodes."""
    names = ("LOCAL_RANK", "RANK", "NODE_RANK", "GROUP_RANK", "SLURM_PROCID")
    return all(os.environ.get(name, "0") == "0" for name in names)


@contextmanager
def starts_processes() -> Iterator[None]:
    """Pass the id of this process to processes started in this block."""
    os.environ[STARTED_BY] = str(os.getpid())
    try:
        yield
    finally:
        del os.environ[STARTED_BY]


def _end_with_parent() -> None:
    """End this process when the one that started it dies.

    Otherwise it could wait for the dead rank in a collective call until that times out.
    """
    parent = os.environ.get(STARTED_BY)
    if parent is None or os.environ.get("LOCAL_RANK", "0") == "0":
        return

    def watch() -> None:
        while str(os.getppid()) == parent:
            time.sleep(LOOK_EVERY_S)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _leave_process_group() -> None:
    torch = sys.modules.get("torch")  # imported by now if a job uses it
    if (
        torch is not None
        and torch.distributed.is_available()
        and torch.distributed.is_initialized()
    ):
        torch.distributed.destroy_process_group()
