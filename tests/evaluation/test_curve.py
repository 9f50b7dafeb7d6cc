"""J&F at every threshold, against a score of the selection at each."""

import drawn_split as drawn
import numpy as np
import pytest

from sola.errors import UserError
from sola.evaluation.curve import (
    CURVE_THRESHOLDS,
    Curve,
    Scored,
    best_threshold,
    mean_curve,
    trace,
)
from sola.evaluation.video_scorer import Score, VideoScorer
from sola.masks import empty_masklet, encode

SIZE = (24, 37)


def random_masklets(rng: np.random.Generator, count: int, num_frames: int) -> np.ndarray:
    """(count, T, H, W): boxes, pixels at random, whole frames, and frames without anything."""
    masks = np.zeros((count, num_frames, *SIZE), dtype=bool)
    for mask in masks.reshape(-1, *SIZE):
        kind = rng.random()
        if kind < 0.6:
            top, left = rng.integers(0, 22), rng.integers(0, 35)
            mask[top : top + rng.integers(1, 20), left : left + rng.integers(1, 20)] = True
        elif kind < 0.7:
            mask[:] = rng.random(SIZE) < rng.choice([0.02, 0.5, 1.0])
    return masks


def make_case(seed: int) -> tuple[VideoScorer, list[Scored]]:
    rng = np.random.default_rng(seed)
    num_frames, num_tracks = int(rng.choice([1, 5, 16, 19])), int(rng.choice([0, 1, 7, 7, 7]))
    tracks = [encode(m) for m in random_masklets(rng, num_tracks, num_frames)]
    objects = [encode(m) for m in random_masklets(rng, 3, num_frames)]
    if num_tracks:
        tracks[-1] = empty_masklet(num_frames, SIZE)
    scorer = VideoScorer(tracks, {str(i): masklet for i, masklet in enumerate(objects)})
    scored = []
    for object_ids in ([], ["0"], ["1", "2"], ["0"]):
        # few distinct scores: some are equal, some are 0, 1 or a threshold of the grid
        row = rng.choice([0.0, 0.01, 0.3, 0.5, 0.5000001, 0.987, 1.0], num_tracks)
        own = np.flatnonzero(rng.random(num_tracks) < 0.8)
        scored.append(Scored(own.tolist(), row[own].astype(np.float32).tolist(), object_ids))
    return scorer, scored


def score_at(scorer: VideoScorer, scored: Scored, threshold: float) -> Score:
    pairs = zip(scored.tracks, scored.scores, strict=True)
    selected = [idx for idx, score in pairs if score > threshold]
    return scorer.score(selected, scored.object_ids)


@pytest.mark.parametrize("seed", range(6))
def test_curves_equal_the_scores_of_selections_at_every_threshold(seed: int) -> None:
    scorer, scored = make_case(seed)
    own = {score for each in scored for score in each.scores}
    beside = {float(np.nextafter(score, side)) for score in own for side in (-1, 2)}
    thresholds = sorted({0.0, 1.0, *CURVE_THRESHOLDS, *own, *beside})

    curves = trace(scorer, scored)

    fresh = VideoScorer(scorer.tracks, scorer.ground_truth)
    for each, curve in zip(scored, curves, strict=True):
        assert curve.steps == tuple(sorted(set(each.scores)))
        for threshold in thresholds:
            assert curve.at(threshold) == score_at(fresh, each, threshold)
    mean = mean_curve(curves)
    for threshold in thresholds:
        expected = np.mean([score_at(fresh, each, threshold) for each in scored], axis=0)
        assert mean.at(threshold) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("seed", range(6))
def test_best_threshold_is_better_than_all_others(seed: int) -> None:
    curves = trace(*make_case(seed))
    candidates = [0.0, *(step for curve in curves for step in curve.steps if step < 1)]

    mean = mean_curve(curves)
    best = best_threshold(mean.steps, mean.jf)

    def jf(threshold: float) -> float:
        return float(np.mean([curve.at(threshold).jf for curve in curves]))

    assert 0 <= best.lowest <= best.threshold < best.end <= 1
    assert jf(best.threshold) == pytest.approx(max(map(jf, candidates)), abs=1e-12)
    assert jf(best.threshold) == jf(best.lowest) == jf(np.nextafter(best.end, 0))


def make_curve(*values: float, steps: tuple[float, ...]) -> Curve:
    scores = tuple(Score(value, value) for value in values)
    return Curve(steps, scores)


@pytest.mark.parametrize(
    ("steps", "values", "expected"),
    [
        ((), (0.5,), (0.5, 0.0, 1.0)),  # no tracks: any threshold is as good
        ((0.2, 0.6), (0.1, 0.9, 0.3), (0.4, 0.2, 0.6)),
        ((0.2, 0.25, 0.6, 1.0), (0.9, 0.1, 0.9, 0.3, 0.3), (0.4, 0.25, 0.6)),  # the wider one
        ((0.31, 0.32, 0.7), (0.1, 0.9, 0.9, 0.2), (0.5, 0.31, 0.7)),  # two that are one
        ((0.31, 0.3172), (0.1, 0.9, 0.2), (0.314, 0.31, 0.3172)),
    ],
)
def test_best_threshold_is_the_middle_of_the_widest_best_interval(
    steps: tuple[float, ...], values: tuple[float, ...], expected: tuple[float, float, float]
) -> None:
    mean = mean_curve([make_curve(*values, steps=steps)])

    best = best_threshold(mean.steps, mean.jf)

    assert (best.threshold, best.lowest, best.end) == expected


def test_best_of_some_thresholds_is_one_of_them() -> None:
    jf = np.array([-np.inf, 0.1, 0.9, 0.5, 0.9, 0.9])

    assert best_threshold((0.1, 0.2, 0.3, 0.4, 0.5), jf).lowest == 0.4


@pytest.mark.parametrize("seed", range(6))
def test_curve_of_few_thresholds_equals_the_whole_curve_there(seed: int) -> None:
    scorer, scored = make_case(seed)
    thresholds = (0.01, 0.3, 0.4, 0.6, 0.987)

    curves = trace(scorer, scored), trace(scorer, scored, thresholds=thresholds)

    for whole, coarse in zip(*curves, strict=True):
        assert len(coarse.steps) <= len(thresholds)
        assert [coarse.at(t) for t in thresholds] == [whole.at(t) for t in thresholds]


def test_object_without_masks_is_refused() -> None:
    scorer = VideoScorer([drawn.SMALL], {})

    with pytest.raises(UserError, match="object '9'"):
        trace(scorer, [Scored([0], [0.5], ["9"])])
