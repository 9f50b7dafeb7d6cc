"""The tables that people read."""

from dataclasses import replace
from io import StringIO
from types import SimpleNamespace

from rich.console import Console

from sola.evaluation.measure import evaluate_expressions
from sola.evaluation.scores import ScoredSplit, Scores
from sola.evaluation.summary import summarise
from sola.evaluation.table import print_tables
from sola.evaluation.tracks import TrackSources


def printed(dataset: SimpleNamespace, sources: TrackSources, scores: Scores) -> list[str]:
    split = ScoredSplit(dataset, sources, scores, {})
    results = evaluate_expressions(split, threshold=0.5)
    names = {"dataset": "drawn", "split": "valid_u", "threshold": 0.5}
    numbers = {"J&F": 0.753, "N-acc": None}
    names["protocol"] = {"name": "mevis_v2", "numbers": numbers}
    counts = {"num_videos": 2, "num_expressions": 5}
    text = StringIO()
    evaluation = {**names, **counts, **summarise(results)}
    print_tables(evaluation, Console(file=text, width=160))
    return text.getvalue().splitlines()


def cells(lines: list[str], label: str) -> list[list[str]]:
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in lines if "│" in line]
    return [row[1:] for row in rows if row[0] == label]


def test_every_answer_has_a_row_in_percent(dataset, sources, scores) -> None:
    lines = printed(dataset, sources, scores)

    assert cells(lines, "selection") == [["75.0", "75.6", "75.3 [0.0, 94.1]", "5"]]
    assert cells(lines, "best single track") == [["55.0", "55.6", "55.3 [0.0, 69.1]", "5"]]
    assert cells(lines, "all tracks") == [["40.0", "46.2", "43.1 [0.0, 53.9]", "5"]]
    assert cells(lines, "selection under another text") == [["12.5", "26.7", "19.6", "2"]]
    assert cells(lines, "kind")[0] == [
        *("appearance", "58.8 [0.0, 88.2]", "66.7", "88.2", "19.6", "3", "2")
    ]
    assert cells(lines, "kind")[1] == ["group", "100.0", "100.0", "-", "-", "1", "1"]
    assert cells(lines, "objects")[0] == ["0", "100.0", "100.0", "-", "-", "1", "1"]
    text = "\n".join(lines)
    assert "by the protocol of mevis_v2: J&F 75.3, N-acc -" in text
    assert "another text: 3 of 5 expressions" in text
    assert "1 of 5 expressions have no tracks" in text
    assert "best threshold for this split: 0.4 (from 0.2 to 0.6), J&F 75.3" in text
    assert "0.5: 75.3, 0.6: " in text
    assert "lost by selection (oracle - selection), J&F: 4.7 [0.0, 5.9]" in text
    assert "lost by generation (100 - oracle), J&F: 20.0 [0.0, 100.0]" in text
    assert "frames:" not in text  # all videos are as long


def test_kinds_that_nobody_recorded_are_not_shown(dataset, sources, scores) -> None:
    dataset.expressions = [replace(expression, kind="") for expression in dataset.expressions]

    assert not any("kind" in line for line in printed(dataset, sources, scores))
