"""The oracle against every subset, scored one by one."""

from itertools import combinations

import numpy as np
import pytest

from sola.evaluation.oracle import MAX_COMPARED, MAX_ENUMERATED, best_selection, best_track
from sola.evaluation.video_scorer import Score, VideoScorer
from sola.masks import encode

SIZE = (24, 24)


def boxes(rng: np.random.Generator, count: int, num_frames: int = 3) -> np.ndarray:
    masks = np.zeros((count, num_frames, *SIZE), dtype=bool)
    for mask in masks.reshape(-1, *SIZE):
        top, left = rng.integers(0, 18, size=2)
        height, width = rng.integers(2, 14, size=2)
        mask[top : top + height, left : left + width] = True
    return masks


@pytest.mark.parametrize("seed", range(8))
def test_no_subset_of_few_tracks_is_better(seed: int) -> None:
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
    singles = [scorer.score([idx], ["1"]).jf for idx in range(5)]
    (single,) = best_track(scorer, ["1"], range(5))
    assert singles[single] == max(singles)


def test_few_subsets_are_scored() -> None:
    rng = np.random.default_rng(0)
    tracks = boxes(rng, 7)
    scorer = VideoScorer([encode(m) for m in tracks], {"1": encode(tracks[:2].any(axis=0))})

    assert best_selection(scorer, ["1"], range(7)).selected == {0, 1}

    assert len(scorer._scores) < 2**7 / 4


def test_of_two_equal_tracks_one_is_selected() -> None:
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


def test_many_tracks_are_added_while_they_help() -> None:
    parts = strips(MAX_ENUMERATED + 2)
    wrong = np.zeros((1, 1, *SIZE), dtype=bool)
    wrong[:, :, :6, 1:3] = True  # shares a pixel row with the target
    tracks = [encode(m) for m in np.concatenate([wrong, parts])]
    scorer = VideoScorer(tracks, {"1": encode(parts.any(axis=0))})

    oracle = best_selection(scorer, ["1"], range(len(scorer.tracks)))

    assert not oracle.is_exact
    assert oracle.selected == frozenset(range(1, len(tracks)))
    assert oracle.score == Score(1, 1)


@pytest.mark.parametrize("seed", range(4))
def test_greedy_search_equals_its_description(seed: int) -> None:
    rng = np.random.default_rng(seed)
    tracks, target = boxes(rng, 14), np.zeros((3, *SIZE), dtype=bool)
    target[:, 4:20, 4:20] = True
    scorer = VideoScorer([encode(m) for m in tracks], {"1": encode(target)})
    left = [idx for idx, track in enumerate(tracks) if (track & target).any()]
    assert len(left) > MAX_ENUMERATED
    selected, best = frozenset[int](), 0.0
    while True:
        grown = [selected | {idx} for idx in left if idx not in selected]
        by_j = sorted(grown, key=lambda s: -scorer.score(s, ["1"]).j)[:MAX_COMPARED]
        found = max(by_j, key=lambda s: scorer.score(s, ["1"]).jf)
        if scorer.score(found, ["1"]).jf <= best:
            break
        selected, best = found, scorer.score(found, ["1"]).jf

    oracle = best_selection(scorer, ["1"], range(14))

    assert oracle.selected == selected
    assert oracle.score.jf == best


@pytest.mark.parametrize("count", [2, MAX_ENUMERATED + 2])
def test_only_the_given_tracks_are_selected(count: int) -> None:
    parts = strips(count)
    whole = encode(parts.any(axis=0))
    scorer = VideoScorer([whole, *(encode(m) for m in parts)], {"1": whole})

    oracle = best_selection(scorer, ["1"], range(2, count + 1))

    assert oracle.selected == frozenset(range(2, count + 1))
    assert oracle.score.j == pytest.approx((count - 1) / count)
    assert best_selection(scorer, ["1"], []).selected == frozenset()


def test_empty_selection_is_best_without_objects_or_tracks() -> None:
    track = encode(boxes(np.random.default_rng(0), 1)[0])

    no_target = best_selection(VideoScorer([track], {"1": track}), [], [0])
    no_tracks = best_selection(VideoScorer([], {"1": track}), ["1"], [])

    assert (no_target.selected, no_target.score) == (frozenset(), Score(1, 1))
    assert (no_tracks.selected, no_tracks.score) == (frozenset(), Score(0, 0))
    assert no_target.is_exact
    assert no_tracks.is_exact


def test_best_track_is_one_even_if_none_fits() -> None:
    first, second, third = (encode(m) for m in boxes(np.random.default_rng(1), 3))
    scorer = VideoScorer([first, second], {"1": third})

    assert len(best_track(scorer, [], [0, 1])) == 1
    assert best_track(scorer, ["1"], [1]) == {1}
    assert best_track(scorer, ["1"], []) == frozenset()
