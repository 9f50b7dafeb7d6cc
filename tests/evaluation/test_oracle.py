"""The oracle against every subset, scored one by one."""

from itertools import combinations

import numpy as np
import pytest

from sola.evaluation.bounds import Additions, Target
from sola.evaluation.oracle import MAX_ENUMERATED, Oracle, OracleOfVideo
from sola.evaluation.scorer import Score, VideoScorer
from sola.masks import encode

SIZE = (24, 24)


def boxes(rng: np.random.Generator, count: int, num_frames: int = 3) -> np.ndarray:
    masks = np.zeros((count, num_frames, *SIZE), dtype=bool)
    for mask in masks.reshape(-1, *SIZE):
        top, left = rng.integers(0, 18, size=2)
        height, width = rng.integers(2, 14, size=2)
        mask[top : top + height, left : left + width] = True
    return masks


def best_selection(scorer: VideoScorer, object_ids: list[str], tracks) -> Oracle:
    return OracleOfVideo(scorer)(object_ids, tracks)


@pytest.mark.parametrize("seed", range(12))
def test_no_subset_of_the_overlapping_tracks_is_better(seed: int) -> None:
    rng = np.random.default_rng(seed)
    num_frames = 18 if seed == 0 else 3
    tracks, target = boxes(rng, 5, num_frames), boxes(rng, 2, num_frames).any(axis=0)
    scorer = VideoScorer([encode(m) for m in tracks], {"1": encode(target)})
    candidates = [i for i, track in enumerate(tracks) if (track & target).any()]
    subsets = [s for n in range(len(candidates) + 1) for s in combinations(candidates, n)]
    best = max(scorer.score(subset, ["1"]).jf for subset in subsets)

    oracle = best_selection(scorer, ["1"], range(len(scorer.tracks)))

    assert oracle.is_exact
    assert oracle.score.jf == best
    assert scorer.score(oracle.selected, ["1"]) == oracle.score
    equally_good = [s for s in subsets if scorer.score(s, ["1"]).jf == best]
    assert len(oracle.selected) == min(map(len, equally_good))


def test_of_two_equal_tracks_one_is_enough() -> None:
    track = encode(boxes(np.random.default_rng(0), 1)[0])

    oracle = best_selection(VideoScorer([track, track], {"1": track}), ["1"], [0, 1])

    assert oracle.score == Score(1, 1)
    assert len(oracle.selected) == 1


def strips(count: int) -> np.ndarray:
    """(count, 1, 24, 24): neighbouring columns of 2 px."""
    masks = np.zeros((count, 1, *SIZE), dtype=bool)
    for i, mask in enumerate(masks):
        mask[:, 5:20, 1 + 2 * i : 3 + 2 * i] = True
    return masks


def test_with_many_candidates_tracks_are_added_while_they_help() -> None:
    parts = strips(MAX_ENUMERATED + 2)
    wrong = np.zeros((1, 1, *SIZE), dtype=bool)
    wrong[:, :, :6, 1:3] = True  # shares a pixel row with the target
    tracks = [encode(m) for m in np.concatenate([wrong, parts])]
    scorer = VideoScorer(tracks, {"1": encode(parts.any(axis=0))})

    oracle = best_selection(scorer, ["1"], range(len(scorer.tracks)))

    assert not oracle.is_exact
    assert oracle.selected == frozenset(range(1, len(tracks)))
    assert oracle.score == Score(1, 1)


def test_adding_greedily_never_ends_below_the_best_single_track() -> None:
    rng = np.random.default_rng(7)
    tracks, target = boxes(rng, 14), np.zeros((3, *SIZE), dtype=bool)
    target[:, 6:18, 6:18] = True
    scorer = VideoScorer([encode(m) for m in tracks], {"1": encode(target)})

    oracle = best_selection(scorer, ["1"], range(len(scorer.tracks)))

    assert not oracle.is_exact
    assert oracle.score.jf >= max(scorer.score([i], ["1"]).jf for i in range(14))
    left = set(range(14)) - oracle.selected
    assert all(scorer.score(oracle.selected | {i}, ["1"]).jf <= oracle.score.jf for i in left)


@pytest.mark.parametrize("count", [2, MAX_ENUMERATED + 2])
def test_only_the_tracks_given_are_chosen_among(count: int) -> None:
    parts = strips(count)
    whole = encode(parts.any(axis=0))
    scorer = VideoScorer([whole, *(encode(m) for m in parts)], {"1": whole})

    oracle = best_selection(scorer, ["1"], range(2, count + 1))

    assert oracle.selected == frozenset(range(2, count + 1))
    assert oracle.score.j == pytest.approx((count - 1) / count)
    assert best_selection(scorer, ["1"], []).selected == frozenset()


def test_the_same_objects_and_tracks_are_searched_for_once() -> None:
    first, second = (encode(m) for m in boxes(np.random.default_rng(0), 2))
    oracle = OracleOfVideo(VideoScorer([first, second], {"1": first, "2": second}))

    assert oracle(["1", "2"], [0, 1]) is oracle(["2", "1"], (0, 1))
    assert oracle(["1"], [0, 1]).selected == {0}
    assert oracle(["2"], [0, 1]).selected == {1}
    assert oracle(["2"], [0]).selected <= {0}


def test_nothing_is_best_where_nothing_is_meant_or_nothing_is_there() -> None:
    track = encode(boxes(np.random.default_rng(0), 1)[0])

    no_target = best_selection(VideoScorer([track], {"1": track}), [], [0])
    no_tracks = best_selection(VideoScorer([], {"1": track}), ["1"], [])

    assert (no_target.selected, no_target.score) == (frozenset(), Score(1, 1))
    assert (no_tracks.selected, no_tracks.score) == (frozenset(), Score(0, 0))
    assert no_target.is_exact
    assert no_tracks.is_exact


def blobs(rng: np.random.Generator, count: int, size: tuple[int, int]) -> np.ndarray:
    """(count, 18, *size): boxes that drift, come and go, and reach the frame's edges."""
    masks = np.zeros((count, 18, *size), dtype=bool)
    for masklet in masks:
        place, side = rng.uniform(-4, 20, 2), rng.integers(2, 14, 2)
        first, last = rng.integers(0, 8), rng.integers(10, 19)
        for t in range(first, last):
            top, left = np.maximum(place + t * rng.normal(0, 0.3, 2), 0).astype(int)
            masklet[t, top : top + side[0], left : left + side[1]] = True
    return masks


def search_without_bounds(scorer: VideoScorer, tracks: list[int]) -> frozenset[int]:
    """What ``best_selection`` finds among more than ``MAX_ENUMERATED`` tracks; all are scored."""
    selected, best = frozenset[int](), scorer.score([], ["1"]).jf
    while True:
        scores = {idx: scorer.score(selected | {idx}, ["1"]) for idx in set(tracks) - selected}
        jf, _, idx = max(((s.jf, s.j, idx) for idx, s in scores.items()), default=(0, 0, 0))
        if jf <= best:
            return selected
        selected, best = selected | {idx}, jf


@pytest.mark.parametrize("seed", range(20))
def test_bounds_change_nothing_but_time(seed: int) -> None:
    rng = np.random.default_rng(seed)
    size = (30, 26)
    tracks, objects = blobs(rng, 24, size), blobs(rng, 3, size)
    parts = objects[rng.integers(3)] & blobs(rng, 6, size)
    masklets = [encode(m) for m in (*tracks, *parts)]
    scorer = VideoScorer(masklets, {"1": encode(objects.any(axis=0))})
    touching = [k for k, m in enumerate((*tracks, *parts)) if (m & objects.any(axis=0)).any()]

    oracle = OracleOfVideo(scorer)

    assert len(touching) > MAX_ENUMERATED
    assert oracle(["1"], range(30)).selected == search_without_bounds(scorer, touching)
    singles = [scorer.score([idx], ["1"]) for idx in range(30)]
    best = max(range(30), key=lambda idx: (singles[idx].jf, singles[idx].j, idx))
    assert oracle.best_track(["1"], range(30)) == {best}


def test_a_bound_is_never_below_what_it_bounds() -> None:
    rng = np.random.default_rng(3)
    tracks, objects = blobs(rng, 12, SIZE), blobs(rng, 3, SIZE)
    objects[:, :3] = False
    objects[0, 5:8] = True  # fills the frame: no boundary
    scorer = VideoScorer([encode(m) for m in tracks], {"1": encode(objects.any(axis=0))})
    target = Target(scorer, ["1"])

    for size in (0, 1, 2, 3, 12):
        for _ in range(10):
            chosen = frozenset(rng.choice(12, size, replace=False).tolist())
            f = scorer.score(chosen, ["1"]).boundary_f
            first, second = (target._bound_f(chosen, n, target.match) for n in (0, 1))
            assert f <= second + 1e-12
            assert second <= first + 1e-12


@pytest.mark.parametrize("seed", range(4))
def test_a_growing_selection_knows_what_each_track_would_change(seed: int) -> None:
    """Counts that are kept up to date against the union itself, found from scratch."""
    rng = np.random.default_rng(seed)
    tracks, objects = blobs(rng, 10, SIZE), blobs(rng, 2, SIZE)
    tracks[3], tracks[4, 2:9] = False, True  # never there; fills the frame
    scorer = VideoScorer([encode(m) for m in tracks], {"1": encode(objects.any(axis=0))})
    target = Target(scorer, ["1"])
    additions = Additions(target, range(10))

    for track in (0, 5, 7):
        additions.add(track)
        options = additions.options()
        assert len(options) > 4
        for j, selected in options:
            assert j == scorer.score(selected, ["1"]).j
            for found, wanted in zip(
                additions.match(selected), target.match(selected), strict=True
            ):
                np.testing.assert_array_equal(found, wanted)
    assert not any(3 in selected for _, selected in options)  # it adds nothing


def test_few_selections_are_scored() -> None:
    rng = np.random.default_rng(0)
    tracks, objects = blobs(rng, 40, (30, 26)), blobs(rng, 3, (30, 26))
    masklets = [encode(m) for m in (*tracks, *objects)]
    scorer = VideoScorer(masklets, {"1": encode(objects.any(axis=0))})

    assert OracleOfVideo(scorer)(["1"], range(43)).selected == {40, 41, 42}

    assert len(scorer._scores) < 15


def test_the_best_track_is_one_even_where_none_fits() -> None:
    first, second, third = (encode(m) for m in boxes(np.random.default_rng(1), 3))
    oracle = OracleOfVideo(VideoScorer([first, second], {"1": third}))

    assert len(oracle.best_track([], [0, 1])) == 1
    assert oracle.best_track(["1"], [1]) == {1}
    assert oracle.best_track(["1"], []) == frozenset()
