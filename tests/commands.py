"""Runs the programs of this repository inside the tests' own process: a start takes seconds."""

import contextlib
import io
import logging
import os
import runpy
import socket
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

from hydra.core.global_hydra import GlobalHydra

ROOT = Path(__file__).parents[1]


TWO_NODES = ("trainer.num_nodes=2", "trainer.devices=1", "trainer.strategy=ddp")


@dataclass(frozen=True)
class Outcome:
    """What a user sees of a command."""

    status: int
    output: str
    errors: str
    cpu_s: float


def run_command(*words: str) -> Outcome:
    """A program from its command line to its exit status, on a machine without a GPU.

    Args:
        words: of the command line, "python" or "python -m" left out.
    """
    output, errors = io.StringIO(), io.StringIO()
    path = _path(words[0])
    start = time.process_time()
    with contextlib.ExitStack() as stack:
        stack.enter_context(_as_found())
        stack.enter_context(mock.patch.object(sys, "argv", [path.name, *words[1:]]))
        stack.enter_context(mock.patch("torch.cuda.is_available", return_value=False))
        stack.enter_context(contextlib.redirect_stdout(output))
        stack.enter_context(contextlib.redirect_stderr(errors))
        status = 0
        try:
            runpy.run_path(str(path), run_name="__main__")
        except SystemExit as end:
            status = int(end.code or 0)
    cpu_s = time.process_time() - start
    return Outcome(status, output.getvalue(), errors.getvalue(), cpu_s)


def environments_of_nodes() -> list[dict[str, str]]:
    """What tells two machines of each other; here both are this one."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    return [shared | {"NODE_RANK": str(rank)} for rank in (0, 1)]


def children_of(process: subprocess.Popen[str]) -> list[int]:
    listed = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()
    return [int(each) for each in listed.split()]


def has_ended(process_id: int, within_s: float = 10) -> bool:
    """Whether a process is gone or a zombie, now or soon: its files close before it is."""
    end = time.monotonic() + within_s
    while time.monotonic() < end:
        try:
            if "State:\tZ" in Path(f"/proc/{process_id}/status").read_text():
                return True
        except (FileNotFoundError, ProcessLookupError):
            return True
        time.sleep(0.05)
    return False


def _path(name: str) -> Path:
    if name.endswith(".py"):
        return ROOT / name
    path = ROOT.joinpath(*name.split("."))
    return path / "__main__.py" if path.is_dir() else path.with_suffix(".py")


@contextlib.contextmanager
def _as_found() -> Iterator[None]:
    """Puts back what a program changes of its process."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    root.handlers.clear()
    GlobalHydra.instance().clear()  # whoever imports sam2 starts Hydra
    environment = {k: v for k, v in os.environ.items() if k != "HYDRA_FULL_ERROR"}
    try:
        with mock.patch.dict(os.environ, environment, clear=True), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for handler in root.handlers:
            handler.close()
        root.handlers[:] = handlers
        root.setLevel(level)
        GlobalHydra.instance().clear()
