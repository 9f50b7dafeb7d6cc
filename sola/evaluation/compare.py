"""Compare two runs on the same expressions: ``python -m sola.evaluation.compare --help``.

Takes two output folders of evaluate.py, of selectors or of predictions=..., and prints the
difference B - A with its bootstrap interval and p-value. Expressions are paired.
"""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sola.config.program import run_program
from sola.errors import UserError
from sola.evaluation import intervals
from sola.files import read_json, write_json

FILE = "evaluation.json"
Entry = Mapping[str, Any]  # of evaluation.json, of one expression
Pairs = Sequence[tuple[Entry, Entry]]


def read_run(path: Path) -> dict[str, Any]:
    """Read the evaluation.json of a run.

    Args:
        path: output folder of evaluate.py, or evaluation.json itself.

    Raises:
        UserError: if the file is missing or does not list the answers of each expression.
    """
    file = path / FILE if path.is_dir() else path
    if not file.is_file():
        raise UserError(f"{file}: not found. Give the output folder of a run of evaluate.py.")
    remedy = "Run evaluate.py again."
    evaluation = read_json(file, remedy)
    entries = evaluation.get("expressions") if isinstance(evaluation, dict) else None
    if not entries or not all("answers" in entry and "objects" in entry for entry in entries):
        raise UserError(f"{file}: does not list the answers of each expression. {remedy}")
    return {**evaluation, "run": str(path)}


def compare(a: Mapping[str, Any], b: Mapping[str, Any], answer: str) -> dict[str, Any]:
    """Return the differences of two runs on the same expressions.

    Args:
        a: a run, see ``read_run``.
        b: another run.
        answer: name of the answer to compare, such as "selection" or "oracle".

    Returns:
        A dictionary ready for JSON. "a" and "b" describe the runs. "all", "by_kind" and "by_group"
        hold the means "a" and "b", their "difference" (b - a), its "interval" (None for one video)
        and "p", each by name of the measure, and "num_expressions" and "num_videos".

    Raises:
        UserError: if the runs have different expressions, or a run lacks the answer.
    """
    check_same_split(a, b)
    pairs = _pair(a, b)
    for run in (a, b):
        known = set.intersection(*(set(entry["answers"]) for entry in run["expressions"]))
        if answer not in known:
            raise UserError(f"{run['run']}: no answer {answer!r}. Choose one of {sorted(known)}.")
    own = a.get("metrics", {})
    further = [name for name in own if b.get("metrics", {}).get(name) == own[name]]
    measures = [*intervals.MEASURES, *further]

    def divide(labels: Sequence[str]) -> dict[str, Any]:
        def having(label: str) -> Pairs:
            return [pair for pair, own in zip(pairs, labels, strict=True) if own == label]

        found = sorted(set(labels))
        return {label: _difference(having(label), answer, measures) for label in found}

    names = ("run", "predictions", "threshold", "checkpoint", "tracks", "protocol", "versions")
    return {
        "dataset": a["dataset"],
        "split": a["split"],
        "answer": answer,
        "a": {name: a[name] for name in names if name in a},
        "b": {name: b[name] for name in names if name in b},
        "all": _difference(pairs, answer, measures),
        "by_kind": divide([one["kind"] for one, _ in pairs]),
        "by_group": {
            group: divide([one["groups"][group] for one, _ in pairs])
            for group in pairs[0][0].get("groups", {})
        },
        "intervals": intervals.METHOD,
        "test": "two-sided sign-flip permutation test over videos; all choices of signs up to "
        f"{intervals.NUM_SIGN_FLIPS}, else so many random ones",
    }


def check_same_split(a: Mapping[str, Any], b: Mapping[str, Any]) -> None:
    """Check that two runs have the same "dataset" and "split".

    Raises:
        UserError: if they differ.
    """
    first, second = (f"{run['dataset']}/{run['split']}" for run in (a, b))
    if first != second:
        raise UserError(
            f"{b['run']}: was measured on {second}, {a['run']} on {first}. Only runs on the same "
            "split can be compared."
        )


def _pair(a: Mapping[str, Any], b: Mapping[str, Any]) -> Pairs:
    """Return the entries of each expression in both runs, in the order of the first."""
    entries_a, entries_b = (
        {(entry["video"], entry["expression"]): entry for entry in run["expressions"]}
        for run in (a, b)
    )
    for key in sorted(entries_a.keys() | entries_b.keys()):
        one, other = (
            {name: entries[key][name] for name in ("text", "objects")} if key in entries else None
            for entries in (entries_a, entries_b)
        )
        if one != other:
            raise UserError(
                f"{a['run']} and {b['run']}: expression {key[1]} of video {key[0]} is {one} in one "
                f"and {other} in the other. Run evaluate.py for both on the same data."
            )
    return [(entry, entries_b[key]) for key, entry in entries_a.items()]


def _difference(pairs: Pairs, answer: str, measures: Sequence[str]) -> dict[str, Any]:
    videos = [one["video"] for one, _ in pairs]
    a, b = (
        [{name: entry["answers"][answer][name] for name in measures} for entry in entries]
        for entries in zip(*pairs, strict=True)
    )
    lost = [{m: y[m] - x[m] for m in measures} for x, y in zip(a, b, strict=True)]
    means = [intervals.mean_with_interval(videos, values) for values in (a, b, lost)]
    sums, _ = intervals.sum_by_video(videos, np.array([list(values.values()) for values in lost]))
    found = {
        part: {name: mean[name] for name in measures}
        for part, mean in zip(("a", "b", "difference"), means, strict=True)
    }
    found["p"] = dict(zip(measures, map(intervals.p_of_sign_flips, sums.T), strict=True))
    return found | {name: means[2][name] for name in ("interval", "num_expressions", "num_videos")}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command, and end the process."""
    parser = argparse.ArgumentParser(
        prog="python -m sola.evaluation.compare",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("run_a", type=Path, help="an output folder of evaluate.py")
    parser.add_argument("run_b", type=Path, help="another one, on the same split")
    parser.add_argument("--answer", default="selection", help="answer to compare (selection)")
    parser.add_argument("--json", type=Path, help="a file to write all numbers to")
    options = parser.parse_args(arguments)

    def task() -> int:
        from sola.evaluation.table import print_comparison

        found = compare(read_run(options.run_a), read_run(options.run_b), options.answer)
        print_comparison(found)
        if options.json is not None:
            write_json(options.json, found)
        return 0

    run_program(task)


if __name__ == "__main__":
    main()
