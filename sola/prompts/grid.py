"""Masks of the automatic mask generator as prompts."""

from collections.abc import Sequence

import numpy as np

from sola.masks import areas, intersections
from sola.types import Prompt, RunLength

SOURCE = "grid"


def grid_frames(num_frames: int, *, is_training: bool, stride: int = 4) -> list[int]:
    """Frames that are prompted: every stride-th in training splits, else start, middle and end."""
    if is_training:
        return list(range(0, num_frames, stride))
    middle = num_frames // 2
    return sorted({frame for frame in (0, middle, 2 * middle) if frame < num_frames})


def drop_parts(masks: Sequence[RunLength], part_overlap: float = 0.7) -> list[int]:
    """Indices of the masks of one frame that are no part of a larger one, largest first.

    Walking down by area, each mask still kept marks every other one of which more than
    ``part_overlap`` of the area lies inside it. Empty masks are dropped.

    Args:
        masks: n masks of one size.
        part_overlap: share of a mask's area inside another above which it is a part of it.
    """
    pixels = areas([list(masks)])[0]
    one_by_one = [[mask] for mask in masks]
    shared = intersections(one_by_one, one_by_one, 1)[:, :, 0]
    order = np.argsort(-pixels, kind="stable")
    is_part = pixels == 0
    for idx in order:
        if is_part[idx]:
            continue
        marked = shared[idx] > part_overlap * pixels
        marked[idx] = False
        is_part |= marked
    return [int(idx) for idx in order if not is_part[idx]]


def grid_prompts(
    frame_idx: int,
    masks: Sequence[RunLength],
    scores: Sequence[tuple[float, float]],
    part_overlap: float = 0.7,
) -> list[Prompt]:
    """Prompts of one frame, largest first.

    Args:
        frame_idx: the frame.
        masks: n masks of the mask generator; none is a valid answer.
        scores: (predicted IoU, stability score) of each.
        part_overlap: see ``drop_parts``.
    """
    pixels = areas([list(masks)])[0]
    return [
        Prompt(
            frame_idx=frame_idx,
            mask=masks[idx],
            area=int(pixels[idx]),
            source=SOURCE,
            predicted_iou=scores[idx][0],
            stability_score=scores[idx][1],
        )
        for idx in drop_parts(masks, part_overlap)
    ]
