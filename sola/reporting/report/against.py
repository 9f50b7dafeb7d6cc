"""Another run in a report: what differs, and its answers beside those of this one."""

from collections.abc import Iterator, Mapping
from html import escape
from pathlib import Path
from typing import Any

from sola.config.schema import EvaluateConfig
from sola.evaluation.comparison import check_same_split, compare, read_run
from sola.evaluation.groups import LABELS
from sola.evaluation.protocol import ALL_TRACKS, SELECTION

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
        As ``sola.evaluation.comparison.compare``, the other run being "a"; and "answers" by (video
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
    rows = []
    for label, measure, found in _rows(comparison):
        cells = [f"{100 * found[run][measure]:.1f}" for run in ("a", "b")]
        cells += [_difference(found, measure), f"{found['p'][measure]:.4f}"]
        cells += [str(found[name]) for name in ("num_expressions", "num_videos")]
        row = "".join(f"<td>{cell}</td>" for cell in cells)
        rows.append(f"<tr><th scope=row>{escape(label)} {escape(measure)}</th>{row}</tr>")
    columns = ("", "other run", "this run", "difference", "p", "expressions", "videos")
    head = "".join(f'<th scope="col">{column}</th>' for column in columns)
    return (
        f'<section id="comparison"><h2>Against another run</h2>'
        f"<p>{escape(comparison['a']['run'])}: its selection, in percent</p>"
        f'<div class="scroll"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
        f'<p class="hint">in brackets: {comparison["intervals"]["level"]:.0%} bootstrap interval '
        f"over videos; p: {escape(comparison['test'])}; not corrected for the number of rows</p>"
        "</section>"
    )


def _rows(comparison: Mapping[str, Any]) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    for measure in comparison["all"]["difference"]:
        yield "all", measure, comparison["all"]
    for kind, found in comparison["by_kind"].items():
        if kind:
            yield kind, "J&F", found
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
