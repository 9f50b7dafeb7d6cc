"""Command line: ``sola <command> ...``, and the scripts train.py, generate.py, ... of a clone."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sola.errors import did_you_mean
from sola.interrupts import leaving_interrupts

Job = Callable[[Any], object]
"""Runs the task of a checked configuration, and returns its result for Hydra's sweepers."""

COMMANDS = {
    "generate": "track the videos of a split",
    "train": "train a selector on finished tracks",
    "evaluate": "measure a selector, or the masks of any system",
    "predict": "answer the expressions of a split, or sentences about a video",
    "download": "fetch weights beforehand, for machines without a network",
    "app": "answer sentences about videos in the browser",
    "check": "check data, tracks or a submission: sola check data|tracks|submission",
    "info": "versions, devices and tracks, for bug reports",
}


def main() -> None:
    """Run the program ``sola``: dispatch to a command."""
    with leaving_interrupts():
        _dispatch(sys.argv[1] if len(sys.argv) > 1 else "--help")


def _dispatch(command: str) -> None:
    if command in ("generate", "train", "evaluate", "predict", "download"):
        run(command, words=(command,))
    elif command == "check":
        _check(sys.argv[2:])
    elif command == "app":
        from sola.app.server import main as run_app

        run_app(sys.argv[2:])
    elif command == "info":
        from sola.info import show_info

        show_info(sys.argv[2:])
    elif command in ("-h", "--help"):
        _show_help()
    else:
        hint = did_you_mean(command, list(COMMANDS))
        sys.stderr.write(f"error: {command}: unknown command.{hint}\n")
        sys.exit(1)


def run(entry: str, *, words: tuple[str, ...] = ()) -> None:
    """Run one of the Hydra programs with the command line; end the process if it fails.

    Args:
        entry: train, generate, evaluate, predict or download.
        words: words of the command line before the overrides.
    """
    load_jobs = {"train": _train, "generate": _generate, "evaluate": _evaluate}
    load_jobs |= {"predict": _predict, "download": _download}
    is_clip = entry == "predict" and any("video=" in word for word in sys.argv)
    complete = _complete_clip if is_clip else list
    with leaving_interrupts():
        from sola.config import main as run_entry

        run_entry(entry, load_jobs[entry], words=words, complete=complete)


def _complete_clip(words: list[str]) -> list[str]:
    from sola.prediction.clip.command_line import complete

    return complete(words)


def _train() -> Job:
    from sola.training.run import train

    return lambda config: train(config).valid_jf


def _generate() -> Job:
    from sola.generation.run import run_generation

    return run_generation


def _evaluate() -> Job:
    from sola.evaluation.run import run_evaluation

    def evaluate(config: Any) -> float:
        if config.report:
            from sola.visualization.report import check_other_run, write_report

            check_other_run(config.report_against, config.dataset.name, config.split)
        split, evaluation = run_evaluation(config)
        if config.report:
            output_dir = Path(config.paths.output_dir)
            write_report(output_dir, split, evaluation, other_run=config.report_against)
        return float(evaluation["protocol"]["numbers"]["J&F"])

    return evaluate


def _predict() -> Job:
    from sola.prediction.clip.run import run_clip
    from sola.prediction.run import run_predict

    return lambda config: run_predict(config) if config.video is None else run_clip(config)


def _download() -> Job:
    from sola.hub import print_weights

    return lambda config: print_weights(config.parts)


def _check_data() -> Job:
    from sola.datasets.check import print_check

    return lambda config: print_check(
        config.dataset, config.split, decode=config.decode, num_threads=config.num_threads
    )


def _check(words: list[str]) -> None:
    kind, rest = (words[0], words[1:]) if words else ("", [])
    if kind == "data":
        from sola.config import main as run_entry

        run_entry("check", _check_data, words=("check", "data"))
    elif kind == "tracks":
        from sola.shards.repair import main as check_tracks

        check_tracks(rest)
    elif kind == "submission":
        from sola.prediction.submission import main as check_submission

        check_submission(rest)
    else:
        sys.stderr.write("error: sola check: choose data, tracks or submission.\n")
        sys.exit(1)


def _show_help() -> None:
    commands = [f"  {name:10} {what}" for name, what in COMMANDS.items()]
    lines = ["sola <command> [key=value ...]", "", *commands, "", "sola <command> --help", ""]
    sys.stdout.write("\n".join(lines))


if __name__ == "__main__":
    main()
