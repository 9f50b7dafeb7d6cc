"""The frame of every entry point: command line -> checked configuration -> the task."""

import contextlib
import errno
import logging
import os
import sys
import warnings
from argparse import Namespace
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn

import hydra
from hydra._internal.utils import get_args_parser
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from sola.config.composition import CONF_DIR, load
from sola.config.console import OwnMessages, console_handler, show_error
from sola.config.help import help_text
from sola.config.job import separate_job
from sola.config.messages import explain, explain_flag
from sola.config.sweep import show_sweep, write_result
from sola.errors import UserError

EXPECTED_WARNINGS = (
    ".torch.jit.script. is deprecated",  # torch's own, from sam2's image transforms
    ".isinstance.treespec, LeafSpec.. is deprecated",  # torch's own, from lightning
)
"""Warnings of one package about another, which a user can do nothing about."""
COMPOSING = (HydraException, OmegaConfBaseException, YAMLError, ValueError)
"""Errors of a configuration that cannot be composed."""

_IN_THE_WAY = "Expected a folder, found a file (or vice versa): move it, or choose another place."
_NOT_PERMITTED = "Check its permissions, or choose another place (data_root, hydra.run.dir)."
_FULL = "Make room, or choose another place (data_root, hydra.run.dir), and run it again."
_REMEDIES = {
    errno.ENOENT: "Correct the path, or put the file there.",
    **dict.fromkeys((errno.ENOTDIR, errno.EEXIST, errno.EISDIR), _IN_THE_WAY),
    **dict.fromkeys((errno.EACCES, errno.EPERM, errno.EROFS), _NOT_PERMITTED),
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT), _FULL),
}
"""What a user can do about an error of the file system."""

_FULL_ERROR = "HYDRA_FULL_ERROR"


class _AlreadyShown(Exception):
    """A user's mistake in one job of a sweep: it was shown, the sweep still has to fail."""


def main(entry: str, task: Callable[[Any], object], *, words: Sequence[str] = ()) -> None:
    """Run a task with the configuration of the command line; end the process with its status.

    A mistake that the user can fix is one message on stderr and exit status 1. HYDRA_FULL_ERROR=1
    shows the traceback instead.

    Args:
        entry: one of ``composition.ENTRIES``.
        task: gets the checked configuration; imports what is heavy itself. What it returns is the
            result of the job, for Hydra's sweepers.
        words: of the command line before the overrides, such as "train" of ``sola train``.
    """
    users_choice = os.environ.get(_FULL_ERROR)
    faults: list[BaseException] = []
    argv = sys.argv
    sys.argv = [argv[0], *argv[1 + len(words) :]]

    def job(composed: DictConfig) -> object:
        with _full_error(users_choice):
            try:
                return _run_job(composed, entry, task, users_choice == "1", words)
            except BaseException as error:
                faults.append(error)
                raise

    flags = Namespace(overrides=[], multirun=False, config_dir=None)
    run = hydra.main(config_path=str(CONF_DIR), config_name=entry, version_base="1.3")
    try:
        flags = _check_flags()
        if flags.help and not any((flags.config_path, flags.config_name, flags.config_dir)):
            sys.stdout.write(help_text(entry, flags.overrides) + "\n")
            return
        with _full_error("1"):  # Hydra raises instead of printing its own message
            run(job)()
    except _AlreadyShown:
        sys.exit(1)
    except Exception as error:
        message = _message_of(error)
        is_composing = isinstance(error, COMPOSING)
        if message is None and error not in faults and is_composing:
            message = explain(
                error,
                entry,
                flags.overrides,
                is_sweep=bool(flags.multirun),
                config_dir=flags.config_dir,
            )
        if message is None or users_choice == "1":
            raise
        show_error(message)
        sys.exit(1)
    finally:
        sys.argv = argv
        show_sweep()


def run_program(task: Callable[[], int], entry: str) -> NoReturn:
    """Run a command that has its own flags, and end the process with the status it returns.

    A mistake that the user can fix is one message on stderr and exit status 1, as for ``main``.

    Args:
        task: imports what is heavy itself.
        entry: whose configuration the command composes.
    """
    handler = console_handler()
    handler.addFilter(OwnMessages())
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    try:
        sys.exit(task())
    except Exception as error:
        message = _message_of(error)
        if message is None and isinstance(error, HydraException | OmegaConfBaseException):
            message = explain(error, entry, [word for word in sys.argv[1:] if "=" in word])
        if message is None or os.environ.get(_FULL_ERROR) == "1":
            raise
        show_error(message)
        sys.exit(1)


def _check_flags() -> Namespace:
    """Flags as Hydra reads them; a misspelt one is a mistake as any other, without its usage."""
    parser = get_args_parser()
    flags = [flag for action in parser._actions for flag in action.option_strings]

    def refuse(message: str) -> NoReturn:
        raise UserError(explain_flag(message, flags, sys.argv[1:]))

    parser.error = refuse  # type: ignore[method-assign]
    found = parser.parse_args()
    if found.config_dir is not None and not Path(found.config_dir).is_dir():
        raise UserError(f"--config-dir {found.config_dir}: no such folder.")
    return found


def _run_job(
    composed: DictConfig,
    entry: str,
    task: Callable[[Any], object],
    keep_traceback: bool,
    words: Sequence[str],
) -> object:
    """One job of a run or sweep; a sweep goes on with its other jobs after a user's mistake."""
    try:
        with warnings.catch_warnings(), separate_job(words):
            for pattern in EXPECTED_WARNINGS:
                warnings.filterwarnings("ignore", pattern)
            value = task(load(composed, entry))
            write_result(entry, value)
            return value
    except Exception as error:
        message = _message_of(error)
        if message is None and isinstance(error, OmegaConfBaseException):
            message = explain(error, entry)
        if message is None:
            write_result(entry, None, f"{type(error).__name__}: {error}")
        if message is None or keep_traceback:
            raise
        job = HydraConfig.get()
        if job.mode != RunMode.MULTIRUN:
            show_error(message)
            sys.exit(1)
        show_error(f"{' '.join(job.overrides.task)}: {message}")
        write_result(entry, None, message)
        raise _AlreadyShown(message) from error


def _message_of(error: Exception) -> str | None:
    """What to say of an error that a user can fix, None for a bug."""
    if isinstance(error, UserError):
        return str(error)
    if isinstance(error, OSError) and error.filename is not None:
        remedy = _REMEDIES.get(error.errno or 0, "")
        return f"{error.filename}: {error.strerror}. {remedy}".rstrip()
    return None


@contextlib.contextmanager
def _full_error(value: str | None) -> Iterator[None]:
    """Set HYDRA_FULL_ERROR (None: unset) and put back what was there."""
    before = os.environ.get(_FULL_ERROR)
    _set_full_error(value)
    try:
        yield
    finally:
        _set_full_error(before)


def _set_full_error(value: str | None) -> None:
    if value is None:
        os.environ.pop(_FULL_ERROR, None)
    else:
        os.environ[_FULL_ERROR] = value
