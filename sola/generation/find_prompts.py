"""The prompts of one video from one prompt source."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import astuple, dataclass

import numpy as np

from sola.config.schema import PromptSourceConfig
from sola.prompts import grid_frames, grid_prompts, ground_truth_prompts, keep_wholes
from sola.prompts.grounding_dino import Detector, expression_prompts, keep_likely, keep_stable
from sola.shards import PromptStore
from sola.tracking.box_masks import BoxMasker
from sola.tracking.mask_generator import MaskGenerator
from sola.tracking.stages import CODES, FILES, FRAMES, RULES, stage
from sola.types import FoundPrompts, Masklet, Prompt

Frames = Sequence[np.ndarray]
"""T frames (H, W, 3) uint8 RGB, all of one size."""
WHOLE_VIDEO = ""
"""Stands for a text where prompts are the video's own."""
NO_BOXES = np.zeros((0, 4), np.float32)


@dataclass(frozen=True)
class PromptCounts:
    """What became of prompts; all but the first say by which rule they were dropped."""

    found: int = 0
    empty: int = 0
    unstable: int = 0
    parts: int = 0
    duplicates: int = 0
    over_cap: int = 0

    def __add__(self, other: "PromptCounts") -> "PromptCounts":
        return PromptCounts(*map(sum, zip(astuple(self), astuple(other), strict=True)))


@dataclass(frozen=True)
class KeptPrompts:
    """Prompts that are to be tracked."""

    prompts: list[Prompt]
    counts: PromptCounts


class PromptFinder:
    """Prompts of videos by the rule of source grid or gdino.

    What was found in a video is kept before any cap or threshold; a run with other ones takes it
    from there.
    """

    def __init__(
        self,
        rule: PromptSourceConfig,
        store: PromptStore,
        *,
        is_training_split: bool,
        generator: MaskGenerator,
        masker: BoxMasker,
        open_detector: Callable[[], Detector],
    ) -> None:
        """Take a rule to videos.

        Args:
            rule: the prompt source.
            store: of what was found before, and will be.
            is_training_split: grid prompts more frames of these.
            generator: masks of a frame, for grid.
            masker: masks of boxes, for gdino.
            open_detector: boxes for a text, for gdino; called when boxes are to be looked for.
        """
        self.rule, self.store, self.is_training_split = rule, store, is_training_split
        self.generator, self.masker, self.open_detector = generator, masker, open_detector

    def find(
        self,
        video_id: str,
        frames: Frames,
        size: tuple[int, int],
        texts: Sequence[str] = (WHOLE_VIDEO,),
    ) -> dict[str, KeptPrompts]:
        """Prompts that the rule keeps, by text.

        Args:
            video_id: the video.
            frames: its frames.
            size: (H, W) of them.
            texts: of the expressions, as they are written (gdino).
        """
        rule, wanted = self.rule, tuple(dict.fromkeys(texts))
        frame_idxs = self._frames(len(frames))
        with stage(FILES):
            found = self.store.read(video_id, size, frame_idxs, wanted, rule.box_threshold)
        if found is None:
            by_text = self._look(frames, frame_idxs, wanted)
            found = FoundPrompts(size, frame_idxs, rule.box_threshold, by_text)
            with stage(FILES):
                self.store.write(video_id, found)
        with stage(RULES):
            return {text: keep(rule, prompts) for text, prompts in found.by_text.items()}

    def _frames(self, num_frames: int) -> tuple[int, ...]:
        if self.rule.name == "gdino":
            return tuple(range(0, num_frames, self.rule.frame_stride))
        return tuple(
            grid_frames(
                num_frames, is_training=self.is_training_split, stride=self.rule.frame_stride
            )
        )

    def _look(
        self, frames: Frames, frame_idxs: tuple[int, ...], texts: tuple[str, ...]
    ) -> dict[str, tuple[Prompt, ...]]:
        """By text; one frame at a time, for all texts together."""
        by_text: dict[str, list[Prompt]] = {text: [] for text in texts}
        for frame_idx in frame_idxs:
            with stage(FRAMES):
                frame = frames[frame_idx]
            on_frame = (
                self._boxes_of(frame_idx, frame, texts)
                if self.rule.name == "gdino"
                else [self._masks_of(frame_idx, frame)]
            )
            for text, prompts in zip(texts, on_frame, strict=True):
                by_text[text] += prompts
        return {text: tuple(prompts) for text, prompts in by_text.items()}

    def _masks_of(self, frame_idx: int, frame: np.ndarray) -> list[Prompt]:
        found = self.generator.generate(frame)
        scores = [(item.predicted_iou, item.stability_score) for item in found]
        return grid_prompts(frame_idx, [item.mask for item in found], scores)

    def _boxes_of(
        self, frame_idx: int, frame: np.ndarray, texts: tuple[str, ...]
    ) -> list[list[Prompt]]:
        """By text; the frame goes once through each image encoder."""
        found = self.open_detector().detect(frame, texts)
        boxes = [detections.boxes for detections in found]
        masks = iter(self.masker.masks_of(frame, np.concatenate([*boxes, NO_BOXES])))
        by_text = []
        for detections in found:
            own = [next(masks) for _ in detections.boxes]
            scores = [(item.predicted_iou, item.stability_score) for item in own]
            with stage(CODES):
                by_text.append(
                    expression_prompts(frame_idx, detections, [item.mask for item in own], scores)
                )
        return by_text


def keep(rule: PromptSourceConfig, found: Sequence[Prompt]) -> KeptPrompts:
    """The prompts that the rule of grid or gdino keeps of those that were found."""
    found = keep_likely(found, rule.box_threshold) if rule.name == "gdino" else found
    visible = [prompt for prompt in found if prompt.area > 0]
    if rule.name == "gdino":
        kept = keep_stable(visible, rule.stability_threshold)
        num_unstable, num_parts = len(visible) - len(kept), 0
    else:
        kept = keep_wholes(visible, rule.part_overlap)
        num_unstable, num_parts = 0, len(visible) - len(kept)
    counts = PromptCounts(
        found=len(found),
        empty=len(found) - len(visible),
        unstable=num_unstable,
        parts=num_parts,
    )
    return KeptPrompts(kept, counts)


def true_prompts(
    rule: PromptSourceConfig, ground_truth: Mapping[str, Masklet]
) -> dict[str, KeptPrompts]:
    """Prompts of source gt: T masks of the frames' size per object -> by text, as all others."""
    prompts = ground_truth_prompts(ground_truth, rule.frames, rule.frames_per_object)
    return {WHOLE_VIDEO: KeptPrompts(prompts, PromptCounts(found=len(prompts)))}
