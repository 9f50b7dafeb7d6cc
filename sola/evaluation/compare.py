"""Compare two runs on the same expressions: ``python -m sola.evaluation.compare --help``.

Takes two output folders of evaluate.py, of selectors or of predictions=..., and prints the
difference, B - A, with its bootstrap interval and p-value. Expressions are paired.
"""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sola.config.entry import run_program
from sola.errors import UserError
from sola.evaluation import intervals
from sola.files import read_json, write_json

FILE = "evaluation.json"
Key = tuple[str, str]
Entries = Mapping[Key, Mapping[str, Any]]
"""Entry of evaluation.json by (video id, expression id)."""


def read_run(path: Path) -> dict[str, Any]:
    """Read what evaluate.py wrote.

    Args:
        path: its output folder, or evaluation.json itself.

    Raises:
        UserError: if there is none, or it lacks the answers of each expression.
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
        b: another one.
        answer: such as "selection" or "oracle".

    Returns:
        Ready for JSON: "a" and "b", what was compared; "all", "by_kind" and "by_group", each with
        the means "a" and "b", their "difference" (b - a), its "interval" (None for one video) and
        "p", by name of the measure, and "num_expressions", "num_videos".

    Raises:
        UserError: if the runs are of other expressions, or lack the answer.
    """
    check_same_split(a, b)
    entries_a, entries_b = (
        {(entry["video"], entry["expression"]): entry for entry in run["expressions"]}
        for run in (a, b)
    )
    _check_same_expressions(f"{a['run']} and {b['run']}", entries_a, entries_b)
    for run in (a, b):
        known = set.intersection(*(set(entry["answers"]) for entry in run["expressions"]))
        if answer not in known:
            raise UserError(f"{run['run']}: no answer {answer!r}. Choose one of {sorted(known)}.")
    own = a.get("metrics", {})
    further = [name for name in own if b.get("metrics", {}).get(name) == own[name]]
    measures = [*intervals.MEASURES, *further]

    def of(keys: Sequence[Key]) -> dict[str, Any]:
        scores = [
            [{m: entries[key]["answers"][answer][m] for m in measures} for key in keys]
            for entries in (entries_a, entries_b)
        ]
        return _difference([video_id for video_id, _ in keys], *scores)

    def split(labels: Mapping[Key, str]) -> dict[str, Any]:
        found = sorted(set(labels.values()))
        return {label: of([key for key in labels if labels[key] == label]) for label in found}

    groups = next(iter(entries_a.values())).get("groups", {})
    names = ("run", "predictions", "threshold", "checkpoint", "tracks", "protocol", "versions")
    return {
        "dataset": a["dataset"],
        "split": a["split"],
        "answer": answer,
        "a": {name: a[name] for name in names if name in a},
        "b": {name: b[name] for name in names if name in b},
        "all": of(list(entries_a)),
        "by_kind": split({key: entry["kind"] for key, entry in entries_a.items()}),
        "by_group": {
            group: split({key: entry["groups"][group] for key, entry in entries_a.items()})
            for group in groups
        },
        "intervals": intervals.METHOD,
        "test": "two-sided sign-flip permutation test over videos; all choices of signs up to "
        f"{intervals.NUM_SIGN_FLIPS}, else so many random ones",
    }


def check_same_split(a: Mapping[str, Any], b: Mapping[str, Any]) -> None:
    """Refuse two runs that differ in "dataset" or "split".

    Raises:
        UserError: if they do.
    """
    first, second = (f"{run['dataset']}/{run['split']}" for run in (a, b))
    if first != second:
        raise UserError(
            f"{b['run']}: was measured on {second}, {a['run']} on {first}. Only runs on the same "
            "split can be compared."
        )


def _difference(
    videos: Sequence[str], a: Sequence[Mapping[str, float]], b: Sequence[Mapping[str, float]]
) -> dict[str, Any]:
    names = list(a[0])
    lost = [{m: y[m] - x[m] for m in names} for x, y in zip(a, b, strict=True)]
    means = [intervals.mean_with_interval(videos, values) for values in (a, b, lost)]
    sums, _ = intervals.sum_by_video(videos, np.array([list(values.values()) for values in lost]))
    p = [intervals.p_of_sign_flips(column) for column in sums.T]
    return {
        **{
            part: {name: mean[name] for name in names}
            for part, mean in zip(("a", "b", "difference"), means, strict=True)
        },
        "p": dict(zip(names, p, strict=True)),
        **{name: means[2][name] for name in ("interval", "num_expressions", "num_videos")},
    }


def _check_same_expressions(runs: str, entries_a: Entries, entries_b: Entries) -> None:
    for key in sorted(entries_a.keys() | entries_b.keys()):
        one, other = (
            {name: entries[key][name] for name in ("text", "objects")} if key in entries else None
            for entries in (entries_a, entries_b)
        )
        if one != other:
            raise UserError(
                f"{runs}: expression {key[1]} of video {key[0]} is {one} in one and {other} in the "
                "other. Run evaluate.py for both on the same data."
            )


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command; ends the process."""
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
