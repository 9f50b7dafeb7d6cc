"""An evaluation of the drawn split, every mean worked out by hand."""

from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import drawn_split as drawn
import numpy as np
import pytest

from sola.errors import UserError
from sola.evaluation.measure import (
    OTHER_TEXT,
    check_ground_truth,
    largest_track,
)
from sola.evaluation.scores import Scores
from sola.evaluation.summary import list_results, summarise
from sola.evaluation.tracks import TrackSources
from sola.evaluation.video_scorer import VideoScorer
from sola.masks import empty_masklet

Evaluate = Callable[..., Any]
EIGHT_FIFTEENTHS = 8 / 15
"""F of both tracks against the small object: P = 8 / 22, R = 1."""
SEVEN_NINTHS = 7 / 9
"""F of both tracks against the large object: P = 14 / 22, R = 1; the same the other way round."""


@pytest.fixture
def results(evaluate: Evaluate, dataset: SimpleNamespace, sources: TrackSources, scores: Scores):
    return evaluate(dataset, sources, scores, 0.5)


# J and F of the four expressions of v1; the expression of v2 scores 0 throughout.
BY_HAND = {
    "selection": ([1, 12 / 16, 1, 1], [1, SEVEN_NINTHS, 1, 1]),
    "oracle": ([1, 1, 1, 1], [1, 1, 1, 1]),
    "best_track": ([1, 1, 12 / 16, 0], [1, 1, SEVEN_NINTHS, 0]),
    "all_tracks": ([4 / 16, 12 / 16, 1, 0], [EIGHT_FIFTEENTHS, SEVEN_NINTHS, 1, 0]),
    "largest_track": ([0, 1, 12 / 16, 0], [0, 1, SEVEN_NINTHS, 0]),
    "none": ([0, 0, 0, 1], [0, 0, 0, 1]),
}


@pytest.mark.parametrize("answer", BY_HAND)
def test_means_are_those_worked_out_by_hand(results, answer: str) -> None:
    j, boundary_f = (sum(values) / 5 for values in BY_HAND[answer])

    mean = summarise(results)["results"][answer]

    assert mean == {
        "J": pytest.approx(j, abs=1e-12),
        "F": pytest.approx(boundary_f, abs=1e-12),
        "J&F": pytest.approx((j + boundary_f) / 2, abs=1e-12),
        "num_expressions": 5,
        "num_videos": 2,
        # v2 scores 0; a quarter of the draws hold v2 only, a quarter v1 only
        "interval": {
            "J": [0, pytest.approx(j * 5 / 4)],
            "F": [0, pytest.approx(boundary_f * 5 / 4)],
            "J&F": [0, pytest.approx((j + boundary_f) * 5 / 8)],
        },
    }


def test_another_text_is_compared_with_the_selection_on_the_same_expressions(results) -> None:
    summary = summarise(results)

    # Under "the large one", "the small one" is answered by both tracks; the other way round the
    # large one is answered by the small one alone.
    other = summary["results"][OTHER_TEXT]
    assert (other["J"], other["F"]) == pytest.approx((4 / 16 / 2, EIGHT_FIFTEENTHS / 2))
    same = summary["results"]["selection_where_other_text"]
    assert (same["J"], same["F"]) == pytest.approx(((1 + 12 / 16) / 2, (1 + SEVEN_NINTHS) / 2))
    assert other["num_expressions"] == same["num_expressions"] == 2
    assert summary["left_out"] == {OTHER_TEXT: 3}
    assert [r.other_id for r in results] == ["1", "0", None, None, None]


# Of v1's four expressions, then v2's, each with its own tracks alone. Another's would change every
# row: "the large one" would be found, the small one's largest track would be the large one.
OWN_BY_HAND = {
    "selection": ([1, 0, 4 / 16, 0, 0], [1, 0, EIGHT_FIFTEENTHS, 0, 0]),
    "oracle": ([1, 0, 1, 1, 1], [1, 0, 1, 1, 1]),
    "best_track": ([1, 0, 12 / 16, 0, 1], [1, 0, SEVEN_NINTHS, 0, 1]),
    "all_tracks": ([1, 0, 1, 0, 1], [1, 0, 1, 0, 1]),
    "largest_track": ([1, 0, 12 / 16, 0, 1], [1, 0, SEVEN_NINTHS, 0, 1]),
    "none": ([0, 0, 0, 1, 0], [0, 0, 0, 1, 0]),
}


def test_tracks_of_another_expression_are_never_offered(
    evaluate: Evaluate,
    dataset: SimpleNamespace,
    own_sources: TrackSources,
    own_scores: Scores,
) -> None:
    results = evaluate(dataset, own_sources, own_scores, 0.5)

    for answer, (j, boundary_f) in OWN_BY_HAND.items():
        found = [result.answers[answer].score for result in results]
        assert [score.j for score in found] == pytest.approx(j), answer
        assert [score.boundary_f for score in found] == pytest.approx(boundary_f), answer
    own = [{0}, set(), {1, 2}, {3}, {0}]
    for result, tracks in zip(results, own, strict=True):
        assert all(set(answer.selected) <= tracks for answer in result.answers.values())


def test_another_text_is_given_to_the_expressions_own_tracks(
    evaluate: Evaluate,
    dataset: SimpleNamespace,
    own_sources: TrackSources,
    own_scores: Scores,
) -> None:
    own_scores.by_expression["v1", "0"]["1"] = {0: 0.8}

    first, second, *_ = evaluate(dataset, own_sources, own_scores, 0.5)

    assert (first.other_id, second.other_id) == ("1", "0")
    assert (first.answers[OTHER_TEXT].selected, first.answers[OTHER_TEXT].score.j) == ((0,), 1)
    assert (second.answers[OTHER_TEXT].selected, second.answers[OTHER_TEXT].score.j) == ((), 0)


def test_tracks_of_a_video_are_read_once(
    evaluate: Evaluate, dataset: SimpleNamespace, make_reader: type, own_scores: Scores
) -> None:
    shared, own = make_reader({"v1": (), "v2": ()}), make_reader(drawn.OWN_TRACKS, "gdino")

    evaluate(dataset, TrackSources([shared, own]), own_scores, 0.5)

    assert shared.read_entries == [("v1", ""), ("v2", "")]
    assert own.read_entries == list(drawn.OWN_TRACKS)


@pytest.mark.devices
@pytest.mark.slow
def test_several_processes_match_one(evaluate, dataset, sources, scores, results) -> None:
    found = evaluate(dataset, sources, scores, 0.5, num_workers=2)

    assert found == results


def test_kinds_have_means_of_their_own(results) -> None:
    by_kind = summarise(results)["by_kind"]

    assert {kind: m["selection"]["num_expressions"] for kind, m in by_kind.items()} == {
        "appearance": 3,
        "group": 1,
        "none": 1,
    }
    assert by_kind["appearance"]["selection"]["J"] == pytest.approx((1 + 12 / 16) / 3)
    assert by_kind["appearance"]["oracle"]["J&F"] == pytest.approx(2 / 3)
    assert by_kind["appearance"][OTHER_TEXT]["num_expressions"] == 2
    assert by_kind["group"][OTHER_TEXT]["J&F"] is None
    assert by_kind["group"][OTHER_TEXT]["num_expressions"] == 0
    assert by_kind["group"]["selection"]["interval"] is None  # of one video


def test_groups_have_means_of_their_own(results) -> None:
    by_group = summarise(results)["by_group"]

    objects = {label: m["selection"]["num_expressions"] for label, m in by_group["objects"].items()}
    assert objects == {"0": 1, "1": 3, "2": 1}
    assert by_group["objects"]["1"]["selection"]["J"] == pytest.approx((1 + 12 / 16) / 3)
    assert by_group["objects"]["1"]["oracle"]["J"] == pytest.approx(2 / 3)
    # of 400 px the small one covers 4, the large one 12
    assert {label: m["oracle"]["num_videos"] for label, m in by_group["size"].items()} == {
        "nowhere": 1,
        "medium": 2,
    }


def test_each_source_has_an_oracle_of_its_own(
    evaluate: Evaluate, dataset: SimpleNamespace, make_reader: type, own_scores: Scores
) -> None:
    """Tracks of the video: none but the small one; of expressions: those of ``OWN_TRACKS``."""
    shared = make_reader({"v1": (drawn.SMALL,), "v2": ()})
    sources = TrackSources([shared, make_reader(drawn.OWN_TRACKS, "gdino")])
    rows = {"v1": [(0, 1), (0,), (0, 2, 3), (0, 4)], "v2": [(0,)]}
    by_expression = {
        (video_id, str(number)): {text: dict.fromkeys(tracks, 0.0) for text in "0123"}
        for video_id, of_video in rows.items()
        for number, tracks in enumerate(of_video)
    }

    results = evaluate(dataset, sources, Scores(by_expression, {}), 0.5)

    summary = summarise(results)
    # grid finds the small one, 4 of the 16 px of both, and nothing in v2; the fourth means nothing
    grid, gdino = ([1, 0, 4 / 16, 1, 0], [1, 0, 1, 1, 1])
    assert summary["by_source"]["grid"]["J"] == pytest.approx(sum(grid) / 5)
    assert summary["by_source"]["gdino"]["J"] == pytest.approx(sum(gdino) / 5)
    assert summary["results"]["oracle"]["J"] == pytest.approx(sum(gdino) / 5)
    losses = {name: loss["J"] for name, loss in summary["losses"].items()}
    assert losses == {
        "generation": pytest.approx(1 / 5),
        "selection": pytest.approx((sum(gdino) - 1) / 5),  # nothing is selected
        "generation from grid alone": pytest.approx(1 - sum(grid) / 5),
        "generation from gdino alone": pytest.approx(1 / 5),
    }
    assert list_results(results)[2]["oracle_by_source"]["grid"]["tracks"] == [0]


def test_curve_is_that_of_the_selection_at_its_thresholds(results) -> None:
    curve = {point["threshold"]: point for point in summarise(results)["curve"]}

    assert list(curve) == [step / 100 for step in range(1, 100)]
    assert curve[0.5]["J"] == pytest.approx((1 + 12 / 16 + 1 + 1) / 5)
    # at 0.15 "the large one" gets both tracks, and so does "the green one" the large one: 0
    assert curve[0.15]["J"] == pytest.approx((1 + 12 / 16 + 1 + 0) / 5)
    # at 0.85 "the large one" gets nothing, "both" the small one alone
    assert curve[0.85]["J"] == pytest.approx((1 + 0 + 4 / 16 + 1) / 5)


def test_best_threshold_is_in_an_interval_of_equals(results) -> None:
    best = summarise(results)["best_threshold"]

    # from where "the green one" gets nothing to where "the large one" loses the large track
    assert (best["from"], best["to"]) == (np.float32(0.2), np.float32(0.6))
    assert best["threshold"] == 0.4
    assert best["J"] == pytest.approx((1 + 12 / 16 + 1 + 1) / 5)


@pytest.mark.parametrize("threshold", [0.05, 0.5, 0.65, 0.95])
def test_answers_have_the_scores_of_their_tracks(
    evaluate, dataset, sources, scores, threshold: float
) -> None:
    for result in evaluate(dataset, sources, scores, threshold):
        scorer = VideoScorer(
            drawn.TRACKS[result.expression.video_id],
            drawn.GROUND_TRUTH[result.expression.video_id],
        )
        assert result.curve.at(threshold) == result.answers["selection"].score
        for answer in result.answers.values():
            objects = result.expression.object_ids
            assert answer.score == scorer.score(answer.selected, objects)
            assert answer.is_empty == scorer.union(answer.selected).is_empty


def test_list_names_the_selected_tracks(results) -> None:
    first, *_, last = list_results(results)

    assert (first["video"], first["expression"], first["text"]) == ("v1", "0", "the small one")
    assert first["answers"]["selection"] == {"tracks": [0], "J": 1, "F": 1, "J&F": 1}
    assert first["answers"]["largest_track"]["tracks"] == [1]
    assert last["answers"]["selection"] == {"tracks": [], "J": 0, "F": 0, "J&F": 0}


def test_largest_track_is_that_of_most_pixels_over_all_frames(dataset) -> None:
    small, large = dataset.ground_truth("v1").values()
    empty = empty_masklet(1, (20, 20))
    brief = [large[0], empty[0]]  # 12 px in all
    lasting = [small[0], small[0]]  # 8 px in all

    assert largest_track([lasting, brief], [0, 1]) == {1}
    assert largest_track([lasting, brief, lasting], [0, 2]) == {0}
    assert largest_track([small, brief], []) == frozenset()


def test_splits_without_ground_truth_are_refused(evaluate, dataset, sources, scores) -> None:
    right = dataset.ground_truth
    dataset.ground_truth = lambda video_id: {"1": empty_masklet(7, (20, 20))}
    with pytest.raises(UserError, match="video v1 of drawn/valid_u: "):
        evaluate(dataset, sources, scores)
    dataset.ground_truth = right
    del scores.by_expression["v1", "1"]["1"]
    with pytest.raises(KeyError):
        evaluate(dataset, sources, scores)
    dataset.expressions = [replace(e, object_ids=None) for e in dataset.expressions]
    with pytest.raises(UserError, match="5 expressions"):
        check_ground_truth(dataset)
    dataset.has_masks = False
    with pytest.raises(UserError, match=r"valid_u.*ground truth"):
        check_ground_truth(dataset)
