"""Scores of selections on the validation split, expression by expression."""

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import drawn_split as drawn
import numpy as np
import pytest

from sola.evaluation.oracle import best_selection
from sola.evaluation.tracks import TrackSources
from sola.evaluation.video_scorer import Score
from sola.training import scoring
from sola.training.scoring import GRID, Finding, ValidationScorer, summarize
from sola.types import Tracks

LENGTHS = {"0": 3, "1": 2, "2": 4, "3": 3}
"""Tracks of v1's expressions: two of the video, and their own."""

SPLIT: Any = SimpleNamespace(
    expressions=drawn.EXPRESSIONS, ground_truth=lambda video_id: drawn.GROUND_TRUTH[video_id]
)


def reader(source: str) -> SimpleNamespace:
    def read(video_id: str, expression_id: str = "") -> Tracks:
        own = drawn.OWN_TRACKS.get((video_id, expression_id), drawn.TRACKS[video_id])
        return drawn.make_tracks(video_id, own, source, expression_id)

    return SimpleNamespace(read=read, index={}, is_by_expression=source == "gdino")


@pytest.fixture
def scorer() -> ValidationScorer:
    return ValidationScorer(TrackSources([reader("grid"), reader("gdino")]), SPLIT)


def row(num_tracks: int, selected: Sequence[int]) -> np.ndarray:
    return np.isin(np.arange(num_tracks), selected).astype(np.float32) * np.float32(0.9)


def score(scorer: ValidationScorer, number: str, selected: Sequence[int]) -> Score:
    scores = row(LENGTHS[number], selected)
    (curve,) = scorer.trace([drawn.EXPRESSIONS[int(number)]], [scores], thresholds=[0.5])
    return curve.at(0.5)


@pytest.mark.parametrize(
    ("number", "selected", "j"),
    [
        ("0", [2], 1),  # its own small one
        ("0", [1, 2], 4 / 16),
        ("1", [], 0),
        ("1", [1], 1),
        ("2", [2, 3], 1),
        ("2", [3], 12 / 16),
        ("3", [], 1),
        ("3", [2], 0),
    ],
)
def test_positions_are_those_of_the_expressions_tracks(
    scorer: ValidationScorer, number: str, selected: list[int], j: float
) -> None:
    assert score(scorer, number, selected).j == pytest.approx(j)


def test_expression_without_tracks_gets_an_empty_answer(scorer: ValidationScorer) -> None:
    scorer = ValidationScorer(TrackSources([reader("gdino")]), SPLIT)

    (curve,) = scorer.trace([drawn.EXPRESSIONS[1]], [row(0, [])], thresholds=GRID)

    assert curve.at(0.5) == (0, 0)
    assert scorer.oracle(drawn.EXPRESSIONS[1]) == (0, 0)


def test_expressions_of_a_video_are_scored_together(scorer: ValidationScorer) -> None:
    rows = [row(LENGTHS[number], [1]) for number in LENGTHS]

    together = scorer.trace(drawn.EXPRESSIONS[:4], rows, thresholds=GRID)

    assert [curve.at(0.5) for curve in together] == [score(scorer, n, [1]) for n in LENGTHS]


def test_oracle_is_found_once(scorer: ValidationScorer, monkeypatch: pytest.MonkeyPatch) -> None:
    searched = []

    def search(*wanted: Any) -> Any:
        searched.append(wanted)
        return best_selection(*wanted)

    monkeypatch.setattr(scoring, "best_selection", search)
    monkeypatch.setattr(scoring, "MAX_PIXELS_KEPT", 1)  # one video at a time

    for _ in range(2):
        found = [scorer.oracle(expression) for expression in drawn.EXPRESSIONS]

    assert found == [(1, 1)] * 5
    assert len(searched) == 5


def test_search_for_the_oracle_ends(
    scorer: ValidationScorer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scoring, "MAX_ORACLE_PIXELS", 2 * 20 * 20 * 3 + 1)  # two searches

    found = [scorer.oracle(expression) for expression in drawn.EXPRESSIONS * 2]

    assert found == [(1, 1), (1, 1), None, None, None] * 2
    findings = find(scorer, list(LENGTHS))
    assert [finding.oracle for finding in findings] == found[:4]
    assert summarize(findings)["valid/oracle_J&F"] == 1


def scores_of(number: str) -> np.ndarray:
    return np.linspace(0.04, 0.92, LENGTHS[number] + int(number), dtype=np.float32)[
        : LENGTHS[number]
    ]


def find(scorer: ValidationScorer, numbers: Sequence[str]) -> list[Finding]:
    rows = [scores_of(number) for number in numbers]
    expressions = [drawn.EXPRESSIONS[int(number)] for number in numbers]
    return scorer.score(expressions, rows, [row > 0.5 for row in rows])


def test_means_are_those_of_the_selections_at_each_threshold(scorer: ValidationScorer) -> None:
    means = summarize(find(scorer, list(LENGTHS)))

    jf = []
    for threshold in (0.5, *GRID):
        found = []
        for number in LENGTHS:
            selected = np.flatnonzero(scores_of(number) > threshold)
            found.append(score(scorer, number, selected.tolist()))
        jf.append(np.mean([each.jf for each in found]))
        if len(jf) == 1:
            assert means["valid/J"] == pytest.approx(np.mean([each.j for each in found]))
            assert means["valid/F"] == pytest.approx(np.mean([each.boundary_f for each in found]))
    assert len(set(jf)) > 3  # one that never changes would prove nothing
    assert means["valid/J&F"] == pytest.approx(jf[0], abs=1e-12)
    assert means["valid/J&F_best"] == pytest.approx(max(jf), abs=1e-12)
    best = means["valid/threshold_best"]
    assert jf[1 + GRID.index(best)] == pytest.approx(max(jf[1:]), abs=1e-12)
    assert means["valid/oracle_J&F"] == 1


def test_best_threshold_begins_the_widest_best_interval() -> None:
    curve = [Score(1.0, 1.0) if t in (0.1, 0.3, 0.35, 0.4) else Score(0.5, 0.0) for t in GRID]
    row = np.zeros(0, np.float32)
    finding = Finding(drawn.EXPRESSIONS[0], row, row > 0, [Score(0.0, 0.0), *curve], None, {})

    means = summarize([finding])

    assert means["valid/threshold_best"] == 0.3
    assert (means["valid/J_best"], means["valid/F_best"], means["valid/J&F_best"]) == (1, 1, 1)


def test_breakdown_by_source_selects_only_its_tracks(scorer: ValidationScorer) -> None:
    scorer.sources = ("grid", "gdino")
    scores = [row(LENGTHS["0"], [2])]  # its own small one, of gdino

    (finding,) = scorer.score(drawn.EXPRESSIONS[:1], scores, [scores[0] > 0.5])

    by_source = {
        name.removeprefix("valid_by_source/"): jf
        for name, jf in finding.breakdowns.items()
        if name.startswith("valid_by_source/")
    }
    assert by_source == {"grid": score(scorer, "0", []).jf, "gdino": finding.curve[0].jf}
    assert by_source["gdino"] == 1
