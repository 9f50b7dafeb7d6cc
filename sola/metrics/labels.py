"""Overlap of tracks with objects, and the rule that labels tracks as positive."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from sola.errors import UserError
from sola.masks import areas, intersections
from sola.types import Labels, Masklet


def count_pixels(
    masklets: Sequence[Masklet], ground_truth: Mapping[str, Masklet], num_frames: int
) -> Labels:
    """Count the pixels of tracks against every ground-truth object, frame by frame.

    Args:
        masklets: N masklets of T masks; N may be 0.
        ground_truth: G masklets of the same length and size; G may be 0.
        num_frames: T.
    """
    objects = list(ground_truth.values())
    return Labels(
        object_ids=tuple(ground_truth),
        intersections=intersections(masklets, objects, num_frames),
        track_areas=areas(masklets).reshape(len(masklets), num_frames),
        object_areas=areas(objects).reshape(len(objects), num_frames),
    )


def unite_objects(labels: Labels, object_ids: Sequence[str]) -> Labels:
    """Return the counts against some objects as one object; pixels of two count twice.

    Args:
        labels: pixel counts against G objects.
        object_ids: some of their ids.
    """
    chosen = [labels.object_ids.index(name) for name in object_ids]
    return Labels(
        object_ids=(" ".join(object_ids),),
        intersections=labels.intersections[:, chosen].sum(axis=1, keepdims=True),
        track_areas=labels.track_areas,
        object_areas=labels.object_areas[chosen].sum(axis=0, keepdims=True),
    )


def mean_iou(labels: Labels, empty_frames: str) -> NDArray[np.float64]:
    """Return the IoU of every track with every object, mean over frames.

    Args:
        labels: pixel counts of N tracks against G objects.
        empty_frames: "count": a frame empty in both counts as IoU 1, so a track that is always
            empty scores 0.75 against an object visible in a quarter of the frames; "skip": such
            frames are left out.

    Returns:
        (N, G) float64 in [0, 1]; 0 for a pair without frames.
    """
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
    """Return which tracks are positive: their best mean IoU over the objects is above a threshold.

    Args:
        labels: pixel counts of N tracks against G objects.
        object_ids: objects of the expression; if none, every track is negative.
        iou_threshold: exclusive, 0.7 in the paper.
        empty_frames: "count" or "skip", see ``mean_iou``.

    Returns:
        (N,) bool.

    Raises:
        UserError: if an object is not among ``labels.object_ids``.
    """
    unknown = [name for name in object_ids if name not in labels.object_ids]
    if unknown:
        raise UserError(
            f"objects {unknown}: have no labels, only {list(labels.object_ids)} have. The "
            "tracks were made from other annotations: run generate.py again."
        )
    columns = [labels.object_ids.index(name) for name in object_ids]
    return mean_iou(labels, empty_frames)[:, columns].max(axis=1, initial=-1.0) > iou_threshold
