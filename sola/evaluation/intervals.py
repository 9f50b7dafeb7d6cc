"""Bootstrap intervals of means over expressions, and a permutation test of differences.

Expressions of one video share its objects and tracks, so both resample whole videos with all their
expressions, never single expressions.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

MEASURES = ("J", "F", "J&F")
LEVEL = 0.95
NUM_RESAMPLES = 5000
NUM_SIGN_FLIPS = 10_000
SEED = 0
METHOD = {
    "level": LEVEL,
    "method": "percentile bootstrap over the videos that have such expressions",
    "num_resamples": NUM_RESAMPLES,
    "seed": SEED,
}


def mean_with_interval(
    video_ids: Sequence[str], values: Sequence[Mapping[str, float]]
) -> dict[str, Any]:
    """Return the means of measures over expressions and their intervals, ready for JSON.

    Args:
        video_ids: video of each of E expressions.
        values: measures of each expression by name, the same names for all.

    Returns:
        The means by name (J, F and J&F are None if there are no expressions), "num_expressions",
        "interval" ([lower, upper] by name; None with fewer than two videos) and "num_videos".
    """
    names = list(values[0]) if values else list(MEASURES)
    table = np.array([[each[name] for name in names] for each in values]).reshape(-1, len(names))
    sums, counts = sum_by_video(video_ids, table)
    means = table.mean(axis=0).tolist() if values else [None] * len(names)
    ends = interval_of_mean(sums, counts)
    return {
        **dict(zip(names, means, strict=True)),
        "num_expressions": len(values),
        "interval": None if ends is None else dict(zip(names, map(list, ends), strict=True)),
        "num_videos": len(counts),
    }


def sum_by_video(
    video_ids: Sequence[str], values: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Sum the values of the expressions of each video, and count the expressions.

    Args:
        video_ids: video of each of E expressions.
        values: (E, K).

    Returns:
        (V, K) sums and (V,) counts, videos sorted by name.
    """
    names, video_of = np.unique(np.asarray(video_ids, dtype=str), return_inverse=True)
    sums = np.zeros((len(names), values.shape[1]))
    np.add.at(sums, video_of, values)
    return sums, np.bincount(video_of, minlength=len(names))


def interval_of_mean(
    sums: NDArray[np.float64], counts: NDArray[np.int64]
) -> list[tuple[float, float]] | None:
    """Return the bootstrap interval of means over the expressions of all videos.

    Args:
        sums: (V, K) sums over the expressions of each video.
        counts: (V,) number of expressions of each video, all above 0.

    Returns:
        K pairs (lower, upper); None for fewer than two videos.
    """
    if len(counts) < 2:
        return None
    times = _draw_videos(len(counts)).astype(np.float64)
    means = (times @ sums) / (times @ counts)[:, None]
    lower, upper = np.quantile(means, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0).tolist()
    return list(zip(lower, upper, strict=True))


def p_of_sign_flips(differences: NDArray[np.float64], seed: int = SEED) -> float:
    """Return the two-sided p-value of a sign-flip permutation test of paired differences.

    Args:
        differences: (V,) difference of each video, summed over its expressions.
        seed: seed of the random signs, which are used if there are too many choices to try all.

    Returns:
        Share of the choices of signs whose sum is at least as far from 0 as the observed sum: among
        all choices if there are at most ``NUM_SIGN_FLIPS``, else among that many random ones.
    """
    own = differences[differences != 0]  # 0 has no sign
    num_choices = 2 ** min(len(own), 62)
    if num_choices <= NUM_SIGN_FLIPS:
        is_flipped = np.arange(num_choices)[:, None] >> np.arange(len(own)) & 1
    else:
        is_flipped = np.random.default_rng(seed).integers(0, 2, (NUM_SIGN_FLIPS, len(own)))
        is_flipped[0] = 0  # as observed
    totals = np.abs((1.0 - 2.0 * is_flipped) @ own)
    return float(np.mean(totals >= np.abs(own.sum()) - 1e-9 * np.abs(own).sum()))


@lru_cache(maxsize=16)
def _draw_videos(num_videos: int) -> NDArray[np.int16]:
    """Return how often each resample draws each video, (NUM_RESAMPLES, V) int16."""
    shares = np.full(num_videos, 1 / num_videos)
    drawn = np.random.default_rng(SEED).multinomial(num_videos, shares, size=NUM_RESAMPLES)
    return drawn.astype(np.int16)
