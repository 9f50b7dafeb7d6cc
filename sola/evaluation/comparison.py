"""Whether one run answers better than another: the same expressions, paired, video by video."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sola.errors import UserError
from sola.evaluation.intervals import (
    METHOD,
    NUM_SIGN_FLIPS,
    interval_of_mean,
    p_of_sign_flips,
    sum_by_video,
)
from sola.evaluation.summary import MEASURES
from sola.files import read_json

FILE = "evaluation.json"
TEST = (
    "two-sided sign-flip permutation test over videos; all choices of signs up to "
    f"{NUM_SIGN_FLIPS}, else so many random ones"
)
Key = tuple[str, str]
"""(video id, expression id)."""


def read_run(path: Path) -> dict[str, Any]:
    """What evaluate.py wrote of a run.

    Args:
        path: its output folder, or the file itself.

    Raises:
        UserError: if there is none, or it does not tell the answers of each expression.
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
    """Differences of two runs on the same expressions.

    Args:
        a: as ``read_run`` has it.
        b: the same.
        answer: such as "selection" or "oracle".

    Returns:
        Ready for JSON: "a" and "b", what was compared; "all", "by_kind" and "by_group", each with
        the means "a" and "b", their "difference" (b - a), its "interval" (None for one video) and
        "p", by name of the measure, and "num_expressions", "num_videos".

    Raises:
        UserError: if the runs are of other expressions, or lack the answer.
    """
    check_same_split(a, b)
    entries_a, entries_b = _by_key(a), _by_key(b)
    _check_same_expressions(a, b, entries_a, entries_b)
    keys = list(entries_a)
    measures = (*MEASURES, *_common_metrics(a, b))
    scores_a = _scores(a, entries_a, keys, answer, measures)
    scores_b = _scores(b, entries_b, keys, answer, measures)

    def of(chosen: Sequence[bool]) -> dict[str, Any]:
        is_chosen = np.array(chosen)
        videos = [video_id for (video_id, _), is_in in zip(keys, chosen, strict=True) if is_in]
        return _difference(videos, scores_a[is_chosen], scores_b[is_chosen], measures)

    def split(labels: Sequence[str]) -> dict[str, Any]:
        found = sorted(set(labels))
        return {label: of([other == label for other in labels]) for label in found}

    groups = entries_a[keys[0]].get("groups", {})
    return {
        "dataset": a["dataset"],
        "split": a["split"],
        "answer": answer,
        "a": _describe(a),
        "b": _describe(b),
        "all": of([True] * len(keys)),
        "by_kind": split([entries_a[key]["kind"] for key in keys]),
        "by_group": {
            group: split([entries_a[key]["groups"][group] for key in keys]) for group in groups
        },
        "intervals": METHOD,
        "test": TEST,
    }


def _common_metrics(a: Mapping[str, Any], b: Mapping[str, Any]) -> list[str]:
    """Further numbers that both runs have, of the same code."""
    own, others = a.get("metrics", {}), b.get("metrics", {})
    return [name for name, about in own.items() if others.get(name) == about]


def _difference(
    videos: Sequence[str],
    a: NDArray[np.float64],
    b: NDArray[np.float64],
    measures: Sequence[str],
) -> dict[str, Any]:
    sums, counts = sum_by_video(videos, b - a)
    ends = interval_of_mean(sums, counts)

    def named(values: Sequence[Any]) -> dict[str, Any]:
        return dict(zip(measures, values, strict=True))

    return {
        "a": named(a.mean(axis=0).tolist()),
        "b": named(b.mean(axis=0).tolist()),
        "difference": named((b - a).mean(axis=0).tolist()),
        "interval": None if ends is None else named([list(pair) for pair in ends]),
        "p": named([p_of_sign_flips(column) for column in sums.T]),
        "num_expressions": len(videos),
        "num_videos": len(counts),
    }


def _describe(run: Mapping[str, Any]) -> dict[str, Any]:
    """Names of a run's numbers."""
    names = ("run", "predictions", "threshold", "checkpoint", "tracks", "protocol", "versions")
    return {name: run[name] for name in names if name in run}


def _by_key(run: Mapping[str, Any]) -> dict[Key, Mapping[str, Any]]:
    return {(entry["video"], entry["expression"]): entry for entry in run["expressions"]}


def _scores(
    run: Mapping[str, Any],
    entries: Mapping[Key, Mapping[str, Any]],
    keys: Sequence[Key],
    answer: str,
    measures: Sequence[str],
) -> NDArray[np.float64]:
    """(E, K): some measures of an answer to each expression."""
    lacking = [key for key in keys if answer not in entries[key]["answers"]]
    if lacking:
        known = sorted(set.intersection(*(set(entries[key]["answers"]) for key in keys)))
        raise UserError(
            f"{run['run']}: {len(lacking)} of {len(keys)} expressions have no answer {answer!r}. "
            f"Choose one of {known}."
        )
    return np.array([[entries[key]["answers"][answer][m] for m in measures] for key in keys])


def check_same_split(a: Mapping[str, Any], b: Mapping[str, Any]) -> None:
    """UserError if two runs, of which "run", "dataset" and "split" are known, differ in these."""
    first, second = (f"{run['dataset']}/{run['split']}" for run in (a, b))
    if first != second:
        raise UserError(
            f"{b['run']}: was measured on {second}, {a['run']} on {first}. Only runs on the same "
            "split can be compared."
        )


def _check_same_expressions(
    a: Mapping[str, Any],
    b: Mapping[str, Any],
    entries_a: Mapping[Key, Mapping[str, Any]],
    entries_b: Mapping[Key, Mapping[str, Any]],
) -> None:
    runs = f"{a['run']} and {b['run']}"
    alone = sorted(entries_a.keys() ^ entries_b.keys())
    if alone:
        raise UserError(
            f"{runs}: {len(alone)} expressions are in one of them alone, the first is expression "
            f"{alone[0][1]} of video {alone[0][0]}. Only runs on the same expressions can be "
            "compared: run evaluate.py for both on the same data."
        )
    for key, entry in entries_a.items():
        for name in ("text", "objects"):
            if entry[name] != entries_b[key][name]:
                raise UserError(
                    f"{runs}: expression {key[1]} of video {key[0]} has the {name} "
                    f"{entry[name]!r} in one, {entries_b[key][name]!r} in the other: the data set "
                    "has changed between them. Run evaluate.py for both again."
                )
