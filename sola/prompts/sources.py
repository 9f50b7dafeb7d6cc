"""Prompt sources: ground truth, automatic masks, and masks of a detector's boxes."""

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from sola.checks import at_least, between, one_of
from sola.masks import areas, intersections
from sola.prompts.base import WHOLE_VIDEO, Detector, PromptedVideo, PromptSource, TrackingRule
from sola.trackers.stages import DETECTOR, stage
from sola.types import Expression, Prompt, RunLength


class GroundTruth(PromptSource):
    """Ground-truth masks of every object of a video; an object never visible has no prompt."""

    needs_ground_truth = True
    is_kept = False
    causes_of_nothing = (
        "No object has a mask on any frame. Check that label maps hold the ids of objects (1, 2, "
        "...), not 0 and 255, and that the expressions name their objects (obj_id or anno_id)."
    )

    def __init__(
        self,
        frames: str = "largest",
        frames_per_object: int = 1,
        *,
        name: str = "gt",
        rule: TrackingRule | None = None,
    ) -> None:
        """Choose the prompted frames.

        Args:
            frames: which frames to prompt, among those on which an object is visible: "largest"
                (by area), "first", or "even" (evenly spaced).
            frames_per_object: prompts per object; fewer if it is visible on fewer frames.
            name: see ``PromptSource``.
            rule: see ``PromptSource``.

        Raises:
            UserError: if a value is unknown or out of range.
        """
        super().__init__(name, rule)
        one_of(("largest", "first", "even"), frames=frames)
        at_least(1, frames_per_object=frames_per_object)
        self.frames, self.frames_per_object = frames, frames_per_object

    def find(
        self, video: PromptedVideo, frame_idxs: Sequence[int], texts: Sequence[str]
    ) -> dict[str, list[Prompt]]:
        """See ``PromptSource.find``; ``frames`` chooses the frames, not ``frame_idxs``."""
        prompts = []
        for object_id, masklet in video.ground_truth.items():
            pixels = areas([masklet])[0]
            prompts += [
                self.prompt(idx, masklet[idx], object_id=object_id)
                for idx in choose_frames(pixels, self.frames, self.frames_per_object)
            ]
        return {WHOLE_VIDEO: prompts}

    def num_tracks(self, expressions: Sequence[Expression]) -> int:
        """See ``PromptSource.num_tracks``: number of objects x prompts per object."""
        objects = {each for expression in expressions for each in expression.object_ids or ()}
        return len(objects) * self.frames_per_object


def choose_frames(pixels: np.ndarray, rule: str, count: int) -> list[int]:
    """Return the frames on which an object is prompted; see ``GroundTruth``.

    Args:
        pixels: (T,) area of the object on each frame.
        rule: "largest", "first" or "even".
        count: largest number of frames.
    """
    frames = np.flatnonzero(pixels)
    count = min(count, len(frames))
    if rule == "largest":
        frames = frames[np.argsort(-pixels[frames], kind="stable")]
    elif rule == "even":  # the middles of `count` equal stretches
        frames = frames[((np.arange(count) + 0.5) * len(frames) / max(count, 1)).astype(int)]
    return [int(idx) for idx in frames[:count]]


class Grid(PromptSource):
    """The tracker's automatic masks of some frames, without masks that are parts of others."""

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
            frame_stride: training splits are searched on every frame_stride-th frame, other splits
                on the first, the middle and the last frame.
            part_overlap: a mask with more than this share of its area inside a larger mask of the
                frame is dropped as a part.
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

    def keep(self, found: Sequence[Prompt]) -> list[Prompt]:
        """Keep prompts that are not part of another one on their frame; see ``drop_parts``.

        They are sorted by frame, and largest first within a frame.
        """
        in_time = sorted(found, key=lambda prompt: prompt.frame_idx)
        kept: list[Prompt] = []
        for _, of_frame in itertools.groupby(in_time, key=lambda prompt: prompt.frame_idx):
            prompts = list(of_frame)
            wholes = drop_parts([prompt.mask for prompt in prompts], self.part_overlap)
            kept += [prompts[idx] for idx in wholes]
        return kept


def drop_parts(masks: Sequence[RunLength], part_overlap: float) -> list[int]:
    """Return the indices of the masks of one frame that are not part of another, largest first.

    From the largest down, each mask that is still kept drops every other mask with more than
    ``part_overlap`` of its area inside it. Empty masks are dropped.

    Args:
        masks: n masks of one size.
        part_overlap: a mask with more than this share of its area inside another is part of it.
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


class DetectorBoxes(PromptSource):
    """The tracker's masks of a detector's boxes for each expression on some frames."""

    is_by_expression = True
    thresholds = ("box_threshold", "stability_threshold")
    causes_of_nothing = (
        "Check prompt_source.detector.checkpoint and tracker.checkpoint, or lower "
        "prompt_source.box_threshold and prompt_source.stability_threshold."
    )

    def __init__(
        self,
        detector: Detector,
        frame_stride: int = 4,
        *,
        box_threshold: float = 0.2,
        stability_threshold: float = 0.85,
        name: str = "gdino",
        rule: TrackingRule | None = None,
    ) -> None:
        """Choose detector, frames and masks.

        Args:
            detector: finds the boxes of a sentence.
            frame_stride: every frame_stride-th frame is searched.
            box_threshold: a box is kept if its best token score (0 to 1) is above this.
            stability_threshold: a box's mask is kept if its stability score (0 to 1) is at least
                this.
            name: see ``PromptSource``.
            rule: see ``PromptSource``.

        Raises:
            UserError: if a value is out of range.
        """
        super().__init__(name, rule, frame_stride=frame_stride)
        between(0, 1, box_threshold=box_threshold, stability_threshold=stability_threshold)
        self.detector = detector
        self.box_threshold, self.stability_threshold = box_threshold, stability_threshold

    @property
    def found_threshold(self) -> float:
        """See ``PromptSource.found_threshold``."""
        return self.box_threshold

    def check(self) -> Mapping[str, Path] | None:
        """See ``Detector.check``."""
        return self.detector.check()

    def digests(self) -> dict[str, str]:
        """See ``Detector.digests``."""
        return self.detector.digests()

    def open(self, device: torch.device) -> None:
        """Load the detector."""
        with stage(DETECTOR):
            self.detector.load(device)

    def find(
        self, video: PromptedVideo, frame_idxs: Sequence[int], texts: Sequence[str]
    ) -> dict[str, list[Prompt]]:
        """See ``PromptSource.find``. Each image encoder runs once per frame.

        Boxes without a positive, finite width and height are dropped.
        """
        by_text: dict[str, list[Prompt]] = {text: [] for text in texts}
        for frame_idx in frame_idxs:
            answers = self.detector.detect(video.frame(frame_idx), texts, self.box_threshold)
            rows = [
                (text, *row)
                for text, found in zip(texts, answers, strict=True)
                for row in zip(found.boxes, found.token_scores, found.phrases, strict=True)
                if _has_area(row[0])
            ]
            masks = video.masks_of_boxes(frame_idx, [box for _, box, _, _ in rows])
            for (text, box, token_scores, phrase), mask in zip(rows, masks, strict=True):
                prompt = self.prompt(
                    frame_idx,
                    **vars(mask),
                    box=tuple(box.tolist()),
                    phrase=phrase,
                    token_scores=tuple(token_scores.tolist()),
                )
                by_text[text].append(prompt)
        return by_text

    def keep(self, found: Sequence[Prompt]) -> list[Prompt]:
        """Keep boxes above both thresholds, compared in float32 as in the published code."""
        box, stability = np.float32(self.box_threshold), np.float32(self.stability_threshold)
        likely = [prompt for prompt in found if np.float32(max(prompt.token_scores)) > box]
        return [prompt for prompt in likely if np.float32(prompt.stability_score) >= stability]

    def choose_group(self, unused: Sequence[Prompt], size: int, room: int | None) -> list[Prompt]:
        """Choose the first prompt and its direct successors of the same frame, fewer near the cap.

        This is the rule of the published gdino script. It stops at the first prompt of another
        frame. It counts the group twice when it compares with the cap, so a group takes at most
        half of the room, rounded up.
        """
        most = size if room is None else min(size, -(-room // 2))
        leading = itertools.takewhile(lambda p: p.frame_idx == unused[0].frame_idx, unused)
        return list(leading)[:most]


def _has_area(box: np.ndarray) -> bool:
    sides = box[2:] - box[:2]
    return bool((np.isfinite(sides) & (sides > 0)).all())
