"""The frame of every entry point: command line -> typed configuration -> the layer that does it."""

import errno
import logging
import os
import sys
import warnings
from argparse import Namespace
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NoReturn, TypeVar

import hydra
from hydra._internal.utils import get_args_parser
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from sola.config.console import OwnMessages, console_handler, show_error
from sola.config.conversion import CONF_DIR, load, register_schemas
from sola.config.help import help_text
from sola.config.job import separate_job
from sola.config.messages import explain, explain_flag
from sola.errors import UserError

Schema = TypeVar("Schema")

EXPECTED_WARNINGS = (
    ".torch.jit.script. is deprecated",  # torch's own, from sam2's image transforms
    ".isinstance.treespec, LeafSpec.. is deprecated",  # torch's own, from lightning
)
"""Warnings of one package about another, which a user can do nothing about."""

_IN_THE_WAY = "A file is where a folder goes, or the reverse: move it, or choose another place."
_NOT_WRITABLE = "Choose a place that may be written to (data_root, hydra.run.dir)."
_FULL = "Make room, or choose another place (data_root, hydra.run.dir), and run it again."
_REMEDIES = {
    errno.ENOENT: "Correct the path, or put the file there.",
    **dict.fromkeys((errno.ENOTDIR, errno.EEXIST, errno.EISDIR), _IN_THE_WAY),
    **dict.fromkeys((errno.EACCES, errno.EPERM, errno.EROFS), _NOT_WRITABLE),
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT), _FULL),
}
"""What a user can do about an error of the file system."""

_FULL_ERROR = "HYDRA_FULL_ERROR"


class _AlreadyShown(Exception):
    """A user's mistake in one job of a sweep: the user has read it, the sweep still has to fail."""


def main(config_name: str, schema: type[Schema], task: Callable[[Schema], object]) -> None:
    """Runs a task with the configuration of the command line; ends the process with its status.

    A mistake that the user can mend is one message on stderr and exit status 1. HYDRA_FULL_ERROR=1
    shows the traceback instead.

    Args:
        config_name: a file in conf/, without ``.yaml``.
        schema: its data class.
        task: gets the validated configuration; imports what is heavy itself.
    """
    register_schemas()
    users_choice = os.environ.get(_FULL_ERROR)
    faults: list[Exception] = []

    def job(composed: DictConfig) -> object:
        with _full_error(users_choice):
            try:
                return _run_job(composed, schema, task, users_choice == "1")
            except Exception as error:
                faults.append(error)
                raise

    run = hydra.main(config_path=str(CONF_DIR), config_name=config_name, version_base="1.3")
    try:
        flags = _check_flags()
        if flags.help and not _has_other_files(flags):
            sys.stdout.write(help_text(config_name, flags.overrides) + "\n")
            return
        with _full_error("1"):  # Hydra raises instead of printing its own message
            run(job)()
    except _AlreadyShown:
        sys.exit(1)
    except Exception as error:
        message = explain(error, schema) or _users_mistake(error)
        if message is None or users_choice == "1" or error in faults:
            raise
        show_error(message)
        sys.exit(1)


def run_program(task: Callable[[], int], schema: type) -> NoReturn:
    """Runs a command that has its own flags, and ends the process with the status it returns.

    A mistake of the user's is one message on stderr and exit status 1, as for ``main``.

    Args:
        task: imports what is heavy itself.
        schema: data class of the configuration that the command composes.
    """
    handler = console_handler()
    handler.addFilter(OwnMessages())
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    try:
        sys.exit(task())
    except Exception as error:
        message = explain(error, schema) or _users_mistake(error)
        if message is None or os.environ.get(_FULL_ERROR) == "1":
            raise
        show_error(message)
        sys.exit(1)


def _check_flags() -> Namespace:
    """Flags as Hydra reads them; a misspelt one is a mistake as any other, without its usage."""
    parser = get_args_parser()
    flags = [flag for action in parser._actions for flag in action.option_strings]

    def refuse(message: str) -> NoReturn:
        raise UserError(explain_flag(message, flags))

    parser.error = refuse  # type: ignore[method-assign]
    return parser.parse_args()


def _has_other_files(flags: Namespace) -> bool:
    """Whether a user brings a configuration, of which Hydra itself has to make the help."""
    return any((flags.config_path, flags.config_name, flags.config_dir))


def _run_job(
    composed: DictConfig,
    schema: type[Schema],
    task: Callable[[Schema], object],
    keep_traceback: bool,
) -> object:
    """One job of a run or sweep; a sweep goes on with its other jobs after a user's mistake."""
    config = None
    try:
        config = load(composed, schema)
        with warnings.catch_warnings(), separate_job():
            for pattern in EXPECTED_WARNINGS:
                warnings.filterwarnings("ignore", pattern)
            return task(config)
    except Exception as error:
        message = (explain(error, schema) if config is None else None) or _users_mistake(error)
        if message is None or keep_traceback:
            raise
        job = HydraConfig.get()
        if job.mode != RunMode.MULTIRUN:
            show_error(message)
            sys.exit(1)
        show_error(f"{' '.join(job.overrides.task)}: {message}")
        raise _AlreadyShown(message) from error


def _users_mistake(error: Exception) -> str | None:
    """What to say of an error that a user can mend, None for a fault of the program."""
    if isinstance(error, UserError):
        return str(error)
    return _of_file_system(error) if isinstance(error, OSError) else None


def _of_file_system(error: OSError) -> str | None:
    remedy = _REMEDIES.get(error.errno or 0)
    if error.filename is not None and remedy is not None:
        return f"{error.filename}: {error.strerror}. {remedy}"
    is_known = isinstance(error, FileNotFoundError | NotADirectoryError | PermissionError)
    return str(error) if is_known or remedy is not None else None


@contextmanager
def _full_error(value: str | None) -> Iterator[None]:
    """Sets HYDRA_FULL_ERROR (None: unset) and puts back what was there."""
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
