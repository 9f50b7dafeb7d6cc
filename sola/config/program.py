"""Run a command: parse the command line, check the configuration, run the task."""

import logging
import os
import re
import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig

from sola.config.composition import CONF_DIR, load
from sola.config.console import OwnMessages, console_handler, show_error
from sola.config.messages import message_of
from sola.config.processes import separate_job
from sola.config.sweep import show_sweep, write_result
from sola.interrupts import raised_interrupts

EXPECTED_WARNINGS = (
    ".torch.jit.script. is deprecated",  # torch's own, from sam2's image transforms
    ".isinstance.treespec, LeafSpec.. is deprecated",  # torch's own, from lightning
)
"""Warnings of one package about another, which users cannot fix."""


SENTENCE = "expression"
PATHS = ("ckpt_path", "expressions_file", "predictions", "video")
"""Keys of paths that often have spaces, brackets or equals signs."""
QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"")


class _AlreadyShown(Exception):
    """A user's mistake in a job of a sweep that was shown; the sweep must still fail."""


def main(
    entry: str,
    load_task: Callable[[], Callable[[Any], object]],
    *,
    words: Sequence[str] = (),
    complete: Callable[[list[str]], list[str]] = list,
) -> None:
    """Run a task with the configuration of the command line, and end the process if it fails.

    A mistake that the user can fix becomes one message on stderr and exit status 1; any other
    exception keeps its traceback.

    Args:
        entry: one of ``composition.ENTRIES``.
        load_task: imports heavy packages and returns the task, which takes the checked
            configuration and returns the result of the job for Hydra's sweepers.
        words: words of the command line before the overrides, such as "train" in ``sola train``.
        complete: adds overrides to those of the command line.
    """
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra raises instead of printing its own message
    argv, has_started = sys.argv, False
    overrides = argv[1 + len(words) :]
    run = hydra.main(config_path=str(CONF_DIR), config_name=entry, version_base="1.3")

    def job(composed: DictConfig) -> object:
        nonlocal has_started
        has_started = True
        return _run_job(composed, entry, load_task, words)

    try:
        sys.argv = [argv[0], *map(quote, complete(overrides))]
        run(job)()
    except _AlreadyShown:
        sys.exit(1)
    except SystemExit as end:
        sys.exit(1 if end.code == 2 else end.code)  # 2: argparse's status for an unknown flag
    except Exception as error:
        message = message_of(error)
        if message is None and isinstance(error, ValueError) and not has_started:
            message = f"{error}. Check the overrides and YAML files; ~group leaves a group out."
        if message is None:
            raise
        show_error(message)
        sys.exit(1)
    finally:
        sys.argv = argv
        show_sweep()


def quote(word: str) -> str:
    """Quote the value of an override that Hydra must not interpret: a sentence, or an odd path.

    A sentence that is quoted already, and a missing path that Hydra can read, stay as they are.

    Args:
        word: a word of the command line, such as "expression=the dog's ball".
    """
    key, is_given, value = word.partition("=")
    is_sentence = key.lstrip("+") == SENTENCE and not QUOTED.fullmatch(value)
    is_odd = key.lstrip("+") in PATHS and (Path(value).exists() or not _is_read(word))
    if not is_given or not (is_sentence or is_odd):
        return word
    value = re.sub(r"(\\*)('|$)", lambda m: m[1] * 2 + ("\\'" if m[2] else ""), value)
    value = value.replace("${", "\\${")
    return f"{key}='{value}'"


def _is_read(word: str) -> bool:
    try:
        OverridesParser.create().parse_override(word)
    except HydraException:
        return False
    return True


def run_program(task: Callable[[], int]) -> NoReturn:
    """Run a command that has flags of its own, and end the process with the status it returns.

    A mistake that the user can fix becomes one message on stderr and exit status 1, as in ``main``.

    Args:
        task: runs the command and returns its status; it imports heavy packages itself.
    """
    handler = console_handler()
    handler.addFilter(OwnMessages())
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    try:
        sys.exit(task())
    except Exception as error:
        message = message_of(error)
        if message is None:
            raise
        show_error(message)
        sys.exit(1)


def _run_job(
    composed: DictConfig,
    entry: str,
    load_task: Callable[[], Callable[[Any], object]],
    words: Sequence[str],
) -> object:
    """Run one job; a sweep continues with its other jobs after a user's mistake."""
    try:
        with warnings.catch_warnings(), separate_job(words):
            for pattern in EXPECTED_WARNINGS:
                warnings.filterwarnings("ignore", pattern)
            config, task = load(composed, entry), load_task()
            with raised_interrupts():
                value = task(config)
    except Exception as error:
        message = message_of(error)
        write_result(entry, None, message or f"{type(error).__name__}: {error}")
        if message is None:
            raise
        job = HydraConfig.get()
        if job.mode != RunMode.MULTIRUN:
            show_error(message)
            sys.exit(1)
        show_error(f"{' '.join(job.overrides.task)}: {message}")
        raise _AlreadyShown(message) from error
    write_result(entry, value)
    return value
