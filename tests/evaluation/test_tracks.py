"""Several prompt sources read as one."""

import drawn_split as drawn
import numpy as np
import pytest

from sola.errors import UserError
from sola.evaluation.tracks import TrackSources
from sola.types import Expression

SENTENCE = Expression("v1", "0", "", ())
OF_V1 = drawn.EXPRESSIONS[:4]


def test_tracks_of_all_sources_follow_each_other(make_reader, dataset) -> None:
    small, large = dataset.ground_truth("v1").values()
    first, second = make_reader({"v1": (small,)}, "gt"), make_reader({"v1": (large, small)}, "grid")

    tracks = TrackSources([first, second]).read([SENTENCE])

    assert tracks.masklets == (small, large, small)
    assert [prompt.source for prompt in tracks.prompts] == ["gt", "grid", "grid"]
    assert tracks.object_tokens.shape == (3, 2, 4)
    assert tracks.candidates == {"0": (0, 1, 2)}
    assert tracks.size == (20, 20)


def test_source_without_tracks_adds_none(make_reader, dataset) -> None:
    small = dataset.ground_truth("v1")["1"]

    sources = TrackSources([make_reader({"v1": ()}, "gt"), make_reader({"v1": (small,)})])

    assert len(sources.read([SENTENCE]).masklets) == 1
    assert sources.token_dim == 4


@pytest.mark.parametrize("order", [["gt", "grid", "gdino"], ["gdino", "gt", "grid"]])
def test_tracks_of_the_video_come_before_those_of_its_expressions(make_reader, order) -> None:
    masklets = {
        "gt": {"v1": (drawn.LARGE,)},
        "grid": {"v1": (drawn.SMALL, drawn.LARGE)},
        "gdino": drawn.OWN_TRACKS,
    }
    tracks = TrackSources([make_reader(masklets[name], name) for name in order]).read(OF_V1)

    sources = ["gt", "grid", "grid", "gdino", "gdino", "gdino", "gdino"]
    assert [prompt.source for prompt in tracks.prompts] == sources
    assert tracks.made_for == ("", "", "", "0", "2", "2", "3")


def test_expression_chooses_among_the_tracks_of_its_video_and_its_own(make_reader) -> None:
    shared, own = make_reader(drawn.TRACKS), make_reader(drawn.OWN_TRACKS, "gdino")

    tracks = TrackSources([shared, own]).read(OF_V1)

    assert tracks.candidates == {"0": (0, 1, 2), "1": (0, 1), "2": (0, 1, 3, 4), "3": (0, 1, 5)}
    for expression in OF_V1:
        expected = [shared.read("v1"), own.read("v1", expression.expression_id)]
        chosen = list(tracks.candidates[expression.expression_id])
        masklets = [masklet for part in expected for masklet in part.masklets]
        assert [tracks.masklets[idx] for idx in chosen] == masklets
        tokens = np.concatenate([part.object_tokens for part in expected])
        np.testing.assert_array_equal(tracks.object_tokens[chosen], tokens)


def test_shared_tracks_are_read_once(make_reader) -> None:
    shared, own = make_reader(drawn.TRACKS), make_reader(drawn.OWN_TRACKS, "gdino")

    TrackSources([shared, own]).read(OF_V1)

    assert shared.read_entries == [("v1", "")]
    assert own.read_entries == [("v1", "0"), ("v1", "1"), ("v1", "2"), ("v1", "3")]


def test_sources_that_do_not_mix_are_refused(make_reader) -> None:
    first, second = make_reader({}), make_reader({}, "gt")
    second.index["checkpoint_sha256"] = "cd"

    with pytest.raises(UserError, match=r"tracks/gt: .*checkpoint_sha256.*cd.*ab"):
        TrackSources([first, second])
    with pytest.raises(UserError, match="sources"):
        TrackSources([])
