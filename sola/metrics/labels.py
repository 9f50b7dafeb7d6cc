"""Which tracks are right for an expression: their overlap with objects, and a rule over it."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sola.types import Labels

EMPTY_FRAMES = ("count", "skip")
"""How a frame empty in track and object enters the mean: as IoU 1 (the published rule), or not."""


def mean_iou(labels: Labels, empty_frames: str) -> NDArray[np.float64]:
    """Mean over frames of the per-frame IoU of every track with every object.

    Args:
        labels: pixel counts of N tracks against G objects.
        empty_frames: "count": a frame empty in both counts as IoU 1, so that an always empty track
            reaches 0.75 against an object seen in a quarter of the frames; "skip": it is left out.

    Returns:
        (N, G) float64 in [0, 1]; 0 for a pair without any frame left.

    Raises:
        ValueError: if ``empty_frames`` is neither.
    """
    if empty_frames not in EMPTY_FRAMES:
        raise ValueError(f"empty_frames is {empty_frames!r}, one of {EMPTY_FRAMES} is needed")
    shared = labels.intersections.astype(np.int64)
    union = labels.track_areas[:, None].astype(np.int64) + labels.object_areas[None] - shared
    is_seen = union > 0
    total = (shared / np.maximum(union, 1)).sum(axis=-1)
    if empty_frames == "skip":
        return total / np.maximum(is_seen.sum(axis=-1), 1)
    num_frames = shared.shape[-1]
    return (total + (~is_seen).sum(axis=-1)) / max(num_frames, 1)


def track_labels(
    labels: Labels, object_ids: Sequence[str], iou_threshold: float, empty_frames: str
) -> NDArray[np.bool_]:
    """Which tracks are positives: best mean IoU over the expression's objects above the threshold.

    Args:
        labels: pixel counts of N tracks against G objects.
        object_ids: the expression's objects; none: every track is a negative.
        iou_threshold: exclusive, 0.7 in the paper.
        empty_frames: "count" or "skip", see ``mean_iou``.

    Returns:
        (N,) bool.

    Raises:
        ValueError: if an object is not among ``labels.object_ids``.
    """
    unknown = [name for name in object_ids if name not in labels.object_ids]
    if unknown:
        raise ValueError(
            f"objects {unknown} are asked for, labels exist for {list(labels.object_ids)}: the "
            "tracks were made from other annotations. Run generate.py again."
        )
    columns = [labels.object_ids.index(name) for name in object_ids]
    if not columns:
        return np.zeros(labels.track_areas.shape[0], dtype=bool)
    return mean_iou(labels, empty_frames)[:, columns].max(axis=1) > iou_threshold
