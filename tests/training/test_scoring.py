"""Scores of selections on the validation split, expression by expression."""

from collections.abc import Sequence
from types import SimpleNamespace

import drawn_split as drawn
import numpy as np
import pytest

from sola.evaluation.tracks import TrackSources, VideoTracks
from sola.training import scoring
from sola.training.scoring import ValidationScorer
from sola.types import Tracks

LENGTHS = {"0": 3, "1": 2, "2": 4, "3": 3}
"""Tracks of v1's expressions: two of the video, and their own."""


def reader(source: str) -> SimpleNamespace:
    def read(video_id: str, expression_id: str = "") -> Tracks:
        own = drawn.OWN_TRACKS.get((video_id, expression_id), drawn.TRACKS[video_id])
        return drawn.make_tracks(video_id, own, source, expression_id)

    return SimpleNamespace(read=read, index={}, is_by_expression=source == "gdino")


@pytest.fixture
def videos_read() -> list[str]:
    return []


@pytest.fixture
def scorer(videos_read: list[str]) -> ValidationScorer:
    sources = TrackSources([reader("grid"), reader("gdino")])

    def read(video_id: str) -> VideoTracks:
        videos_read.append(video_id)
        return sources.read([e for e in drawn.EXPRESSIONS if e.video_id == video_id])

    return ValidationScorer(read, lambda video_id: drawn.GROUND_TRUTH[video_id])


def flags(num_tracks: int, selected: Sequence[int]) -> np.ndarray:
    return np.isin(np.arange(num_tracks), selected)


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
    expression = drawn.EXPRESSIONS[int(number)]

    assert scorer.score(expression, flags(LENGTHS[number], selected)).j == pytest.approx(j)


def test_an_expression_without_tracks_is_answered_by_nothing(scorer: ValidationScorer) -> None:
    own = TrackSources([reader("gdino")])
    scorer = ValidationScorer(
        lambda video_id: own.read(drawn.EXPRESSIONS[:4]),
        lambda video_id: drawn.GROUND_TRUTH[video_id],
    )

    assert scorer.score(drawn.EXPRESSIONS[1], flags(0, [])) == (0, 0)


def test_a_video_is_read_once_for_all_its_expressions(
    scorer: ValidationScorer, videos_read: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scoring, "MAX_PIXELS_KEPT", 1)  # one video at a time

    for _ in range(2):
        for number, length in LENGTHS.items():
            scorer.score(drawn.EXPRESSIONS[int(number)], flags(length, [0]))
        scorer.score(drawn.EXPRESSIONS[4], flags(1, [0]))

    assert videos_read == ["v1", "v2"]  # the second time every score is known
