"""Intervals and p-values against what can be counted by hand, and how often they are right."""

from itertools import product

import numpy as np
import pytest

from sola.evaluation.intervals import interval_of_mean, p_of_sign_flips, sum_by_video


def test_sums_are_those_of_each_video() -> None:
    sums, counts = sum_by_video(["b", "a", "b"], np.array([[1.0, 2], [3, 4], [5, 6]]))

    np.testing.assert_array_equal(sums, [[3, 4], [6, 8]])
    np.testing.assert_array_equal(counts, [1, 2])


def test_two_videos_are_drawn_in_four_ways() -> None:
    # (a, a): 0.2; (a, b) twice: (0.2 + 3 * 0.6) / 4 = 0.5; (b, b): 0.6; a quarter each is beyond
    # both ends of 95 %.
    interval = interval_of_mean(np.array([[0.2], [1.8]]), np.array([1, 3]))

    assert interval == [(pytest.approx(0.2), pytest.approx(0.6))]


def test_interval_of_many_videos_is_that_of_their_standard_error() -> None:
    values = np.random.default_rng(0).normal(0.5, 0.1, (400, 1))

    ((lower, upper),) = interval_of_mean(values, np.ones(400, dtype=np.int64)) or [(0, 0)]

    error = values.std() / np.sqrt(400)
    assert lower == pytest.approx(values.mean() - 1.96 * error, abs=0.1 * error)
    assert upper == pytest.approx(values.mean() + 1.96 * error, abs=0.1 * error)


def test_one_video_has_no_interval() -> None:
    assert interval_of_mean(np.array([[0.2]]), np.array([1])) is None


def test_intervals_are_the_same_every_time() -> None:
    sums, counts = np.random.default_rng(1).random((9, 2)), np.arange(1, 10)

    assert interval_of_mean(sums, counts) == interval_of_mean(sums, counts)


@pytest.mark.parametrize(
    ("differences", "p"),
    [
        ([1.0, 2.0, 3.0], 2 / 8),  # +++ and ---
        ([1.0, 2.0, -3.0], 1),  # every sum is as far from 0 as this one, which is 0
        ([-1.0, 1.0, 2.0], 6 / 8),  # sums of +-4, +-2 twice each way, 0 twice
        ([0.0, 0.0, 1.0, 1.0, 1.0, 1.0, 1.0], 2 / 32),  # those of 0 have no sign
        ([0.0, 0.0], 1),
    ],
)
def test_signs_of_few_videos_are_all_tried(differences: list[float], p: float) -> None:
    own = np.array(differences)
    sums = [abs(np.dot(signs, own)) for signs in product((1, -1), repeat=len(own))]
    assert np.mean(np.array(sums) >= abs(own.sum()) - 1e-12) == p

    assert p_of_sign_flips(own) == p


def test_random_signs_come_near_to_all() -> None:
    own = np.random.default_rng(2).normal(0.4, 1, 13)  # 8192 choices: all are tried
    more = np.append(own, 1e-12)  # 16384: not all

    assert p_of_sign_flips(more) == pytest.approx(p_of_sign_flips(own), abs=0.02)
    assert p_of_sign_flips(more) == p_of_sign_flips(more)
    assert p_of_sign_flips(np.arange(1.0, 41)) == 1 / 10_000  # the one observed


@pytest.mark.parametrize("num_videos", [8, 20])
def test_p_values_of_equal_runs_are_uniform(num_videos: int) -> None:
    rng = np.random.default_rng(3)
    # videos of very different weight, as those of few and many expressions
    weights = rng.integers(1, 20, num_videos)

    p = [p_of_sign_flips(weights * rng.normal(0, 1, num_videos), seed) for seed in range(300)]

    for level in (0.05, 0.25, 0.5, 0.75):
        error = np.sqrt(level * (1 - level) / len(p))
        assert np.mean(np.array(p) <= level) == pytest.approx(level, abs=3.5 * error)


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    rng = np.random.default_rng(4)
    counts = rng.integers(1, 20, 50)
    is_within = []
    for _ in range(200):
        # what expressions of a video have in common is all that differs: the worst case
        sums = counts * rng.beta(2, 1, 50)  # mean 2/3
        ((lower, upper),) = interval_of_mean(sums[:, None], counts) or [(0, 0)]
        is_within.append(lower <= 2 / 3 <= upper)

    assert 0.89 <= np.mean(is_within) <= 0.99
