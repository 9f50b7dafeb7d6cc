"""Several prompt sources read as one."""

import pytest

from sola.evaluation.tracks import TrackSources


def test_tracks_of_all_sources_follow_each_other(make_reader, dataset) -> None:
    small, large = dataset.ground_truth("v1").values()
    first, second = make_reader({"v1": (small,)}, "gt"), make_reader({"v1": (large, small)}, "grid")

    candidates = TrackSources([first, second]).read("v1")

    assert candidates.masklets == (small, large, small)
    assert [prompt.source for prompt in candidates.prompts] == ["gt", "grid", "grid"]
    assert candidates.object_tokens.shape == (3, 2, 4)
    assert candidates.num_tracks == 3
    assert candidates.size == (20, 20)


def test_a_source_without_tracks_adds_none(make_reader, dataset) -> None:
    small = dataset.ground_truth("v1")["1"]

    candidates = TrackSources([make_reader({"v1": ()}, "gt"), make_reader({"v1": (small,)})])

    assert candidates.read("v1").num_tracks == 1
    assert candidates.token_dim == 4


def test_sources_that_do_not_mix_are_refused(make_reader) -> None:
    first, second = make_reader({}), make_reader({}, "gt")
    second.index["checkpoint_sha256"] = "cd"

    with pytest.raises(ValueError, match=r"tracks/gt: checkpoint_sha256 is cd, .*grid is ab"):
        TrackSources([first, second])
    with pytest.raises(ValueError, match=r"sources=\[\]"):
        TrackSources([])
