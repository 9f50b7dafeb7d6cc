"""What benchmarks report, worked out by hand."""

from types import SimpleNamespace

import pytest

from sola.datasets import MeViS, MeViSv2, RefDAVIS, RefYouTubeVOS
from sola.evaluation.measure import evaluate_expressions
from sola.evaluation.protocols import PROTOCOLS, official_numbers
from sola.evaluation.scores import ScoredSplit, Scores
from sola.evaluation.tracks import TrackSources

# Of five expressions: "the large one" is answered by both tracks, v2's by nothing, the rest is
# right, among them "the green one", which means nothing (see test_measure.py).
J, F = (3 + 12 / 16) / 5, (3 + 7 / 9) / 5


def numbers(
    dataset: SimpleNamespace, sources: TrackSources, scores: Scores, threshold: float = 0.5
) -> dict[str, float | None]:
    split = ScoredSplit(dataset, sources, scores, {})
    results = evaluate_expressions(split, threshold=threshold)
    found = official_numbers(split, results, threshold=threshold)
    assert found["name"] == dataset.protocol
    return found["numbers"]


def test_every_layout_has_a_protocol() -> None:
    readers = (MeViS, MeViSv2, RefDAVIS, RefYouTubeVOS)
    assert {reader.protocol for reader in readers} == set(PROTOCOLS)
    for reader in readers:
        assert hasattr(reader, "void") == (reader is RefDAVIS)


@pytest.mark.parametrize("protocol", ["mevis", "ref_youtube_vos"])
def test_expressions_are_averaged(dataset, sources, scores, protocol: str) -> None:
    dataset.protocol = protocol

    found = numbers(dataset, sources, scores)

    assert found == pytest.approx({"J": J, "F": F, "J&F": (J + F) / 2})


def test_mevis_v2_scores_whether_an_answer_exists(dataset, sources, scores) -> None:
    dataset.protocol = "mevis_v2"

    found = numbers(dataset, sources, scores)

    final = ((J + F) / 2 + 1 + 3 / 4) / 3
    expected = {"J": J, "F": F, "J&F": (J + F) / 2, "N-acc": 1, "T-acc": 3 / 4, "final": final}
    assert found == pytest.approx(expected)
    # at 0.15 "the green one" gets the large track
    assert numbers(dataset, sources, scores, threshold=0.15)["N-acc"] == 0


def test_mevis_v2_has_no_final_score_without_no_target_expressions(
    dataset, sources, scores
) -> None:
    dataset.protocol = "mevis_v2"
    dataset.expressions = [e for e in dataset.expressions if e.object_ids]

    found = numbers(dataset, sources, scores)

    assert (found["N-acc"], found["T-acc"], found["final"]) == (None, 3 / 4, None)
