"""Which groups an expression belongs to, beside its kind: what numbers are broken down by."""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence

import numpy as np

from sola.masks.runs import Runs, pixels_by_frame
from sola.types import Expression

SMALL, LARGE = 0.01, 0.1
"""Shares of the frame: below the first a target is small, from the second on large."""
MOST_FRAMES = (32, 64, 128)
MOST_WORDS = (5, 10)
NOWHERE = "nowhere"

LABELS = {
    "objects": ("0", "1", "2", "3+"),
    "size": (NOWHERE, "small", "medium", "large"),
    "visible": (NOWHERE, "at times", "always"),
    "frames": ("1-32", "33-64", "65-128", "129+"),
    "words": ("1-5", "6-10", "11+"),
}
"""By group, in the order of tables."""
MEANINGS = {
    "objects": "objects that the expression means",
    "size": f"mean share of the frame that they cover where visible: small below {SMALL:.0%}, "
    f"large from {LARGE:.0%} on",
    "visible": "on how many of the frames one of them is visible",
    "frames": "frames of the video",
    "words": "words of the expression",
}


def groups_of(expression: Expression, target: Runs) -> dict[str, str]:
    """The label of an expression in each group.

    Args:
        expression: with known objects.
        target: union of its objects.
    """
    num_pixels = pixels_by_frame(target)
    is_visible = num_pixels > 0
    share = float(num_pixels[is_visible].mean()) / np.prod(target.size) if is_visible.any() else 0
    size = 1 + bisect_right((SMALL, LARGE), share) if is_visible.any() else 0
    return {
        "objects": LABELS["objects"][min(len(expression.object_ids or ()), 3)],
        "size": LABELS["size"][size],
        "visible": LABELS["visible"][int(is_visible.any()) + int(is_visible.all())],
        "frames": _label("frames", target.num_frames, MOST_FRAMES),
        "words": _label("words", len(expression.text.split()), MOST_WORDS),
    }


def _label(group: str, number: int, most: Sequence[int]) -> str:
    return LABELS[group][bisect_left(most, number)]
