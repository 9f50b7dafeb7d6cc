"""A job of a sweep that may start processes of its own, such as one for every device."""

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
"""Tell a process its place among those of a job; a job that has them starts none."""
UNNAMED = ("data_root=", "paths.", "logger", "resume=")
"""Overrides that say nothing of what a job does, and so do paths."""
STARTED_BY = "SOLA_STARTED_BY"
"""Names the process that started others of its job, to them."""
LOOK_EVERY_S = 1.0
MAX_NAME = 128
"""Letters that W&B takes."""


@dataclass(frozen=True)
class JobName:
    """What tells a job from others."""

    sweep: str | None
    """Folder name of the sweep that it is part of; None: of none."""
    overrides: str | None
    """What was typed for it, but for where things are and go; None: nothing."""


def name_job() -> JobName:
    """The name of this job; without values if no entry point was started."""
    if not HydraConfig.initialized():
        return JobName(None, None)
    job = HydraConfig.get()
    overrides = job.overrides.task
    words = [word for word in overrides if not (word.startswith(UNNAMED) or "/" in word)]
    while len(" ".join(words)) > MAX_NAME:
        words.pop(0)  # what differs between runs tends to be typed last
    is_sweep = job.mode == RunMode.MULTIRUN
    return JobName(
        sweep=Path(job.sweep.dir).name if is_sweep else None,
        overrides=" ".join(words) or None,
    )


@contextmanager
def separate_job(words: Sequence[str] = ()) -> Iterator[None]:
    """Let a job start further processes of itself, and the next job of a sweep its own.

    Lightning starts the other devices' processes with the command line of this one and the folder
    ``hydra.run.dir``. In a sweep, these are the command of all its jobs and the folder of none.

    Args:
        words: of the command line before the overrides, such as "train" of ``sola train``.
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
    """The command line of this job of a sweep, without its folder, which Lightning adds."""
    sources = {source.provider: source.path for source in job.runtime.config_sources}
    flags = [f"--config-name={job.job.config_name}", f"--config-path={sources['main']}"]
    if "command-line" in sources:
        flags.append(f"--config-dir={sources['command-line']}")
    search = [line for line in job.overrides.hydra if line.startswith("hydra.searchpath")]
    return [sys.argv[0], *words, *flags, *job.overrides.task, *search, "hydra.mode=RUN"]


def is_first_process() -> bool:
    """Whether this is the only process of the job, or the first of all devices and nodes."""
    names = ("LOCAL_RANK", "RANK", "NODE_RANK", "GROUP_RANK", "SLURM_PROCID")
    return all(os.environ.get(name, "0") == "0" for name in names)


@contextmanager
def starts_processes() -> Iterator[None]:
    """Inside, processes that are started know by which one."""
    os.environ[STARTED_BY] = str(os.getpid())
    try:
        yield
    finally:
        del os.environ[STARTED_BY]


def _end_with_parent() -> None:
    """Where another process of the job started this one: ends this one when that one dies.

    It may else wait for the dead one, in an exchange between devices, until that times out.
    """
    parent = os.environ.get(STARTED_BY)
    if parent is None or os.environ.get("LOCAL_RANK", "0") == "0":
        return

    def look() -> None:
        while str(os.getppid()) == parent:
            time.sleep(LOOK_EVERY_S)
        os._exit(1)

    threading.Thread(target=look, daemon=True).start()


def _leave_process_group() -> None:
    torch = sys.modules.get("torch")  # loaded by now if any job needs it
    if (
        torch is not None
        and torch.distributed.is_available()
        and torch.distributed.is_initialized()
    ):
        torch.distributed.destroy_process_group()
