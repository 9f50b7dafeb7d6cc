"""Masks of the automatic mask generator as prompts."""

from collections.abc import Sequence

import numpy as np

from sola.checks import between
from sola.masks import areas, intersections
from sola.prompts.base import (
    WHOLE_VIDEO,
    KeptPrompts,
    PromptCounts,
    PromptedVideo,
    PromptSource,
)
from sola.prompts.selection import TrackingRule
from sola.types import Prompt, RunLength

SOURCE = "grid"


class Grid(PromptSource):
    """The tracker's automatic masks of some frames, without those that are parts of others."""

    thresholds = ("part_overlap",)
    causes_of_nothing = (
        "Check tracker.checkpoint (random weights find little), or lower "
        "tracker.mask_generator.pred_iou_thresh and tracker.mask_generator.stability_score_thresh."
    )

    def __init__(
        self,
        frame_stride: int = 4,
        part_overlap: float = 0.7,
        *,
        name: str = SOURCE,
        rule: TrackingRule | None = None,
    ) -> None:
        """Choose frames and masks.

        Args:
            frame_stride: in training splits every frame_stride-th frame is searched, elsewhere the
                first, the middle and the last.
            part_overlap: a mask with more than this share of its area inside a larger one of the
                frame is a part, and dropped.
            name: see ``PromptSource``.
            rule: see ``PromptSource``.

        Raises:
            UserError: if a value is out of range.
        """
        super().__init__(name, rule, frame_stride=frame_stride)
        between(0, 1, part_overlap=part_overlap)
        self.part_overlap = part_overlap

    def frame_idxs(self, video: PromptedVideo) -> list[int]:
        """See ``grid_frames``."""
        stride = self.frame_stride
        return grid_frames(video.num_frames, is_training=video.is_training_split, stride=stride)

    def find(
        self, video: PromptedVideo, frame_idxs: Sequence[int], texts: Sequence[str]
    ) -> dict[str, list[Prompt]]:
        """See ``PromptSource.find``."""
        prompts = []
        for frame_idx in frame_idxs:
            masks = video.automatic_masks(frame_idx)
            scores = [(item.predicted_iou, item.stability_score) for item in masks]
            prompts += grid_prompts(frame_idx, [item.mask for item in masks], scores)
        return {WHOLE_VIDEO: prompts}

    def keep(self, found: Sequence[Prompt]) -> KeptPrompts:
        """See ``keep_wholes``."""
        visible = super().keep(found)
        kept = keep_wholes(visible.prompts, self.part_overlap)
        parts = PromptCounts(parts=len(visible.prompts) - len(kept))
        return KeptPrompts(kept, visible.counts + parts)


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
    frame_idx: int, masks: Sequence[RunLength], scores: Sequence[tuple[float, float]]
) -> list[Prompt]:
    """All masks of one frame as prompts, in their order.

    Args:
        frame_idx: the frame.
        masks: n masks of the mask generator; none is a valid answer.
        scores: (predicted IoU, stability score) of each.
    """
    pixels = areas([list(masks)])[0]
    return [
        Prompt(
            frame_idx=frame_idx,
            mask=mask,
            area=int(area),
            source=SOURCE,
            predicted_iou=predicted_iou,
            stability_score=stability,
        )
        for mask, area, (predicted_iou, stability) in zip(masks, pixels, scores, strict=True)
    ]


def keep_wholes(prompts: Sequence[Prompt], part_overlap: float = 0.7) -> list[Prompt]:
    """The prompts that are no part of another one on their frame; see ``drop_parts``.

    Frame by frame in the order of time, on each the largest first.
    """
    by_frame: dict[int, list[Prompt]] = {}
    for prompt in sorted(prompts, key=lambda prompt: prompt.frame_idx):
        by_frame.setdefault(prompt.frame_idx, []).append(prompt)
    return [
        on_frame[idx]
        for on_frame in by_frame.values()
        for idx in drop_parts([prompt.mask for prompt in on_frame], part_overlap)
    ]
