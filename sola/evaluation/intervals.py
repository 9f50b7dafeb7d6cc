"""How sure a mean over expressions is, and a difference of two: chance is in the videos.

Expressions of one video share its objects and tracks, so a sample is a video with all its
expressions, never an expression.
"""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

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


def sum_by_video(
    video_ids: Sequence[str], values: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Sums and numbers of the expressions of each video.

    Args:
        video_ids: of E expressions.
        values: (E, K) of these.

    Returns:
        (V, K) and (V,), videos in the order of their names.
    """
    names, video_of = np.unique(np.asarray(video_ids, dtype=str), return_inverse=True)
    sums = np.zeros((len(names), values.shape[1]))
    np.add.at(sums, video_of, values)
    return sums, np.bincount(video_of, minlength=len(names))


def interval_of_mean(
    sums: NDArray[np.float64], counts: NDArray[np.int64]
) -> list[tuple[float, float]] | None:
    """Bootstrap interval of means over the expressions of all videos.

    Args:
        sums: (V, K) of each video's expressions.
        counts: (V,) how many they are, all above 0.

    Returns:
        K pairs, the lower and upper end; None for fewer than two videos, which say nothing of
        others.
    """
    if len(counts) < 2:
        return None
    times = _draw_videos(len(counts)).astype(np.float64)
    means = (times @ sums) / (times @ counts)[:, None]
    lower, upper = np.quantile(means, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
    return [(float(a), float(b)) for a, b in zip(lower, upper, strict=True)]


def p_of_sign_flips(differences: NDArray[np.float64], seed: int = SEED) -> float:
    """Two-sided p-value of paired differences under the hypothesis that either sign is as likely.

    Args:
        differences: (V,) of each video, summed over its expressions.
        seed: of the signs, where not all can be tried.

    Returns:
        Share of the choices of signs whose sum is at least as far from 0, the one observed among
        them: of all choices where there are at most ``NUM_SIGN_FLIPS``, else of as many random
        ones.
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
    """(NUM_RESAMPLES, V): how often each video is drawn; kept small, as many groups share it."""
    shares = np.full(num_videos, 1 / num_videos)
    drawn = np.random.default_rng(SEED).multinomial(num_videos, shares, size=NUM_RESAMPLES)
    return drawn.astype(np.int16)
