"""Label maps of annotators, worked out by hand."""

from types import SimpleNamespace

import drawn_split as drawn
import numpy as np
import pytest

from sola.errors import UserError
from sola.evaluation.protocols import draw_labels, match_objects, official_numbers
from sola.evaluation.scores import ScoredSplit, Scores
from sola.evaluation.tracks import TrackSources
from sola.masks import decode, empty_masklet
from sola.types import Expression

OBJECTS = {"1": drawn.SMALL, "2": drawn.LARGE}
NOTHING = empty_masklet(drawn.NUM_FRAMES, drawn.SIZE)
SMALL, LARGE = decode(drawn.SMALL), decode(drawn.LARGE)
# Scores of the small and the large track, by expression: object 1 has the ids 0 to 3, object 2 the
# ids 4 to 7, one of each annotator.
ROWS = {
    "0": [0.9, 0.6],
    "4": [0.7, 0.8],  # each pixel goes to the higher score: all right
    "1": [0.1, 0.9],
    "5": [0.9, 0.1],  # the one for the other: matched, all right
    "2": [0.9, 0.9],
    "6": [0.4, 0.4],  # both tracks for the large object, nothing for the small one
    "3": [0.5, 0.1],
    "7": [0.2, 0.2],  # nothing at all
}


@pytest.fixture
def davis() -> SimpleNamespace:
    expressions = [Expression("v1", e, "it", (str(int(e) // 4 + 1),)) for e in ROWS]
    return SimpleNamespace(
        protocol="ref_davis",
        expressions=expressions,
        ground_truth=lambda video_id: OBJECTS,
        void=lambda video_id: NOTHING,
    )


@pytest.fixture
def davis_scores() -> Scores:
    rows = {e: np.array(row, dtype=np.float32) for e, row in ROWS.items()}
    return Scores({("v1", e): {e: dict(enumerate(row.tolist()))} for e, row in rows.items()}, {})


def test_ref_davis_is_the_mean_of_four_annotators(
    davis: SimpleNamespace, sources: TrackSources, davis_scores: Scores
) -> None:
    found = official_numbers(ScoredSplit(davis, sources, davis_scores, {}), [], threshold=0.5)[
        "numbers"
    ]

    # Annotator 2: both tracks against the large object have J 12/16 and F 7/9, against the small
    # one less; the small one is matched with an empty label.
    j, boundary_f = (1 + 1 + 12 / 16 / 2 + 0) / 4, (1 + 1 + 7 / 9 / 2 + 0) / 4
    assert found == pytest.approx(
        {
            "J": j,
            "F": boundary_f,
            "J&F": (j + boundary_f) / 2,
            "J&F of annotator 0": 1,
            "J&F of annotator 1": 1,
            "J&F of annotator 2": (12 / 16 + 7 / 9) / 4,
            "J&F of annotator 3": 0,
        }
    )


def test_pixel_belongs_to_the_highest_score_and_to_the_first_of_equals(
    davis: SimpleNamespace, sources: TrackSources, davis_scores: Scores
) -> None:
    by_id = {e.expression_id: e for e in davis.expressions}
    video = sources.read(davis.expressions)

    labels = draw_labels(video, [by_id["0"], by_id["4"]], davis_scores, 0.5)
    np.testing.assert_array_equal(labels, SMALL + 2 * LARGE.astype(np.uint8))
    labels = draw_labels(video, [by_id["5"], by_id["2"]], davis_scores, 0.5)
    np.testing.assert_array_equal(labels, SMALL + 2 * LARGE.astype(np.uint8))
    labels = draw_labels(video, [by_id["2"], by_id["5"]], davis_scores, 0.5)
    np.testing.assert_array_equal(labels, (SMALL | LARGE).astype(np.uint8))


def test_void_counts_neither_for_nor_against(sources: TrackSources) -> None:
    void = drawn.rectangle(10, 12, 10, 8)  # the right half of the large object, and more
    labels = np.where(SMALL, 1, 0).astype(np.uint8)
    labels[:, 10:13, 10:12] = 2  # the left half
    labels[:, 15:, 15:] = 2  # in void alone

    assert match_objects(labels, 2, OBJECTS, void) == [(1, 1), (1, 1)]
    scores = match_objects(labels, 2, OBJECTS, NOTHING)
    assert [score.j for score in scores] == [1, 6 / (12 + 25)]


def test_missing_or_extra_labels_change_no_other_value() -> None:
    labels = LARGE.astype(np.uint8) * 3

    assert match_objects(labels, 1, OBJECTS, NOTHING) == [(0, 0), (0, 0)]
    assert match_objects(labels, 3, OBJECTS, NOTHING) == [(0, 0), (1, 1)]
    assert match_objects(labels // 3, 1, OBJECTS, NOTHING) == [(0, 0), (1, 1)]


def test_annotator_without_a_word_is_named(
    davis: SimpleNamespace, sources: TrackSources, davis_scores: Scores
) -> None:
    davis.expressions = [e for e in davis.expressions if e.expression_id not in ("2", "6")]

    with pytest.raises(UserError, match=r"v1: .*annotator 2.*2, 6"):
        official_numbers(ScoredSplit(davis, sources, davis_scores, {}), [], threshold=0.5)
