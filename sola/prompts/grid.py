"""Masks of the automatic mask generator as prompts."""

import itertools
from collections import Counter
from collections.abc import Sequence

import numpy as np

from sola.checks import between
from sola.masks import areas, intersections
from sola.prompts.base import WHOLE_VIDEO, KeptPrompts, PromptedVideo, PromptSource
from sola.prompts.selection import TrackingRule
from sola.types import Prompt, RunLength


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
        name: str = "grid",
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

    def frame_idxs(self, video: PromptedVideo) -> Sequence[int]:
        """Return the frames to search: every stride-th in training splits, else three."""
        if video.is_training_split:
            return super().frame_idxs(video)
        middle = video.num_frames // 2
        return sorted({idx for idx in (0, middle, 2 * middle) if idx < video.num_frames})

    def find(
        self, video: PromptedVideo, frame_idxs: Sequence[int], texts: Sequence[str]
    ) -> dict[str, list[Prompt]]:
        """See ``PromptSource.find``."""
        prompts = [
            self.prompt(frame_idx, **vars(found))
            for frame_idx in frame_idxs
            for found in video.automatic_masks(frame_idx)
        ]
        return {WHOLE_VIDEO: prompts}

    def keep(self, found: Sequence[Prompt]) -> KeptPrompts:
        """Keep the prompts that are no part of another one on their frame; see ``drop_parts``.

        Frames come in the order of time, and the prompts of each largest first.
        """
        visible = super().keep(found)
        in_time = sorted(visible.prompts, key=lambda prompt: prompt.frame_idx)
        kept: list[Prompt] = []
        for _, of_frame in itertools.groupby(in_time, key=lambda prompt: prompt.frame_idx):
            prompts = list(of_frame)
            wholes = drop_parts([prompt.mask for prompt in prompts], self.part_overlap)
            kept += [prompts[idx] for idx in wholes]
        parts = Counter(parts=len(visible.prompts) - len(kept))
        return KeptPrompts(kept, visible.counts + parts)


def drop_parts(masks: Sequence[RunLength], part_overlap: float) -> list[int]:
    """Return the indices of the masks of one frame that are no part of a larger one.

    The largest comes first. Walking down by area, each mask still kept marks every other mask of
    which more than ``part_overlap`` of the area lies inside it. Empty masks are dropped.

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
        if not is_part[idx]:
            is_part |= (shared[idx] > part_overlap * pixels) & (np.arange(len(pixels)) != idx)
    return [int(idx) for idx in order if not is_part[idx]]
