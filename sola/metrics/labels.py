"""Which tracks are right for an expression: their overlap with objects, and a rule over it."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from sola.errors import UserError
from sola.masks import areas, intersections
from sola.types import Labels, Masklet, MeanOverlaps

EMPTY_FRAMES = ("count", "skip")
"""How a frame empty in track and object enters the mean: as IoU 1 (the published rule), or not."""


def count_pixels(
    masklets: Sequence[Masklet], ground_truth: Mapping[str, Masklet], num_frames: int
) -> Labels:
    """Per-frame pixel counts of tracks against every ground-truth object.

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


def mean_iou(labels: Labels | MeanOverlaps, empty_frames: str) -> NDArray[np.float64]:
    """Mean over frames of the per-frame IoU of every track with every object.

    Args:
        labels: pixel counts of N tracks against G objects, or the means themselves, which are of
            rule "count".
        empty_frames: "count": a frame empty in both counts as IoU 1, so that an always empty track
            reaches 0.75 against an object seen in a quarter of the frames; "skip": it is left out.

    Returns:
        (N, G) float64 in [0, 1]; 0 for a pair without any frame left.

    Raises:
        UserError: if ``empty_frames`` is neither, or cannot be had from ``labels``.
    """
    if empty_frames not in EMPTY_FRAMES:
        raise ValueError(f"empty_frames is {empty_frames!r}, one of {EMPTY_FRAMES} is needed")
    if isinstance(labels, MeanOverlaps):
        if empty_frames != "count":
            raise UserError(
                "data.empty_frames=skip needs pixel counts, and these tracks were imported with "
                "their mean IoU alone, in which empty frames count. Use data.empty_frames=count, "
                "or import them again beside the data set's ground truth."
            )
        return labels.iou
    shared = labels.intersections.astype(np.int64)
    union = labels.track_areas[:, None].astype(np.int64) + labels.object_areas[None] - shared
    is_seen = union > 0
    total = (shared / np.maximum(union, 1)).sum(axis=-1)
    if empty_frames == "skip":
        return total / np.maximum(is_seen.sum(axis=-1), 1)
    num_frames = shared.shape[-1]
    return (total + (~is_seen).sum(axis=-1)) / max(num_frames, 1)


def track_labels(
    labels: Labels | MeanOverlaps,
    object_ids: Sequence[str],
    iou_threshold: float,
    empty_frames: str,
) -> NDArray[np.bool_]:
    """Which tracks are positives: best mean IoU over the expression's objects above the threshold.

    Args:
        labels: of N tracks against G objects.
        object_ids: the expression's objects; none: every track is a negative.
        iou_threshold: exclusive, 0.7 in the paper.
        empty_frames: "count" or "skip", see ``mean_iou``.

    Returns:
        (N,) bool.

    Raises:
        UserError: if an object is not among ``labels.object_ids``, or as ``mean_iou`` does.
    """
    unknown = [name for name in object_ids if name not in labels.object_ids]
    if unknown:
        raise UserError(
            f"objects {unknown} are asked for, labels exist for {list(labels.object_ids)}: the "
            "tracks were made from other annotations. Run generate.py again."
        )
    columns = [labels.object_ids.index(name) for name in object_ids]
    iou = mean_iou(_of_objects(labels, columns), empty_frames)
    return iou.max(axis=1, initial=-1.0) > iou_threshold


def _of_objects(labels: Labels | MeanOverlaps, columns: list[int]) -> Labels | MeanOverlaps:
    """Of some objects alone, so that the others take no time."""
    object_ids = tuple(labels.object_ids[column] for column in columns)
    if isinstance(labels, MeanOverlaps):
        means = (mean[:, columns] for mean in (labels.iou, labels.precision, labels.recall))
        return MeanOverlaps(object_ids, *means)
    return replace(
        labels,
        object_ids=object_ids,
        intersections=labels.intersections[:, columns],
        object_areas=labels.object_areas[columns],
    )
