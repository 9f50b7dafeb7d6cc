"""Another run in a report: what differs, and its answers beside those of this one."""

from collections.abc import Iterable, Iterator, Mapping
from html import escape
from pathlib import Path
from typing import Any

from sola.config.entry_points import EvaluateConfig
from sola.evaluation.compare import check_same_split, compare, read_run
from sola.evaluation.groups import LABELS
from sola.evaluation.measure import ALL_TRACKS, SELECTION

OTHER_RUN = "other"
MADE_BY = ("source", "tracker")
"""What tracks of two runs must share to be the same, beside every SHA-256."""


def check_other_run(config: EvaluateConfig) -> None:
    """Looks at the run that a report is to compare with, before anything is measured.

    Raises:
        ValueError: if there is no such run, or it is of another split.
    """
    if config.report_against is None:
        return
    other = read_run(Path(config.report_against))
    asked = {"run": "this run", "dataset": config.dataset.name, "split": config.split}
    check_same_split(other, asked)


def compare_with(path: Path, evaluation: Mapping[str, Any], output_dir: Path) -> dict[str, Any]:
    """What a run differs in from another on the same expressions.

    Args:
        path: output folder of the other run.
        evaluation: what evaluation.json holds of this one.
        output_dir: its output folder.

    Returns:
        As ``sola.evaluation.compare.compare``, the other run being "a"; and "answers" by (video
        id, expression id): those of the other run, with "tracks" None where they are of others.

    Raises:
        ValueError: if there is no such run, or it is of other expressions.
    """
    other = read_run(path)
    found = compare(other, {**evaluation, "run": str(output_dir)}, SELECTION)
    own = {(e["video"], e["expression"]): e["answers"] for e in evaluation["expressions"]}
    are_same = _made_by(other) == _made_by(evaluation)
    answers = {}
    for entry in other["expressions"]:
        key, theirs = (entry["video"], entry["expression"]), entry["answers"]
        is_same = are_same and theirs.get(ALL_TRACKS) == own[key][ALL_TRACKS]
        tracks = theirs[SELECTION]["tracks"] if is_same else None
        answers[key] = {**theirs[SELECTION], "tracks": tracks}
    return {**found, "answers": answers}


def comparison_section(comparison: Mapping[str, Any]) -> str:
    """The table of differences, in HTML."""
    all_rows = [("all", measure, comparison["all"]) for measure in comparison["all"]["difference"]]
    parts = list(_parts(comparison))
    folded = f"<details><summary>J&amp;F by kind and group</summary>{_table(parts)}</details>"
    return (
        f'<section id="comparison" aria-labelledby="comparison-title">'
        f'<h2 id="comparison-title">Against another run</h2>'
        f'<p class="lead">The selections of both runs on the same expressions, in percent. The '
        f"other run: {escape(comparison['a']['run'])}. Difference: this run less the other, so "
        f"above 0 this one is better. In brackets: {comparison['intervals']['level']:.0%} "
        f"bootstrap interval over videos. p, how likely so large a difference is between runs "
        f"that are equally good: {escape(comparison['test'])}; not corrected for the number of "
        f"rows.</p>{_table(all_rows)}{folded if parts else ''}</section>"
    )


def _table(rows: Iterable[tuple[str, str, Mapping[str, Any]]]) -> str:
    lines = []
    for label, measure, found in rows:
        cells = [f"{100 * found[run][measure]:.1f}" for run in ("a", "b")]
        cells += [_difference(found, measure), f"{found['p'][measure]:.4f}"]
        cells += [str(found[name]) for name in ("num_expressions", "num_videos")]
        line = "".join(f"<td>{cell}</td>" for cell in cells)
        lines.append(f"<tr><th scope=row>{escape(label)} {escape(measure)}</th>{line}</tr>")
    columns = ("of", "other run", "this run", "difference", "p", "expressions", "videos")
    head = "".join(f'<th scope="col">{column}</th>' for column in columns)
    return (
        f'<div class="scroll"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(lines)}</tbody></table></div>"
    )


def _parts(comparison: Mapping[str, Any]) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    for kind, found in comparison["by_kind"].items():
        if kind:
            yield f"kind: {kind}", "J&F", found
    for group, labels in comparison["by_group"].items():
        there = [label for label in LABELS[group] if label in labels]
        for label in there if len(there) > 1 else ():
            yield f"{group}: {label}", "J&F", labels[label]


def _difference(found: Mapping[str, Any], measure: str) -> str:
    figure = f"{100 * found['difference'][measure]:+.1f}"
    if found["interval"] is None:
        return figure
    lower, upper = found["interval"][measure]
    return f"{figure} <small>[{100 * lower:+.1f}, {100 * upper:+.1f}]</small>"


def _made_by(run: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [
        {name: value for name, value in tracks.items() if name in MADE_BY or "_sha256" in name}
        for tracks in run.get("tracks", ())
    ]
