"""Boxes of GroundingDINO for each expression, made into masks by the tracker, as prompts."""

from collections.abc import Sequence
from typing import Any

import torch

from sola.checks import between
from sola.prompts.base import KeptPrompts, PromptCounts, PromptedVideo, PromptSource
from sola.prompts.grounding_dino import (
    Detector,
    expression_prompts,
    keep_likely,
    keep_stable,
)
from sola.prompts.selection import TrackingRule, leading_group
from sola.trackers.stages import CODES, DETECTOR, stage
from sola.types import Prompt

SOURCE = "gdino"


class DetectorBoxes(PromptSource):
    """What a detector finds for each expression on every ``frame_stride``-th frame."""

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
        name: str = SOURCE,
        rule: TrackingRule | None = None,
    ) -> None:
        """Choose detector, frames and masks.

        Args:
            detector: finds boxes of a sentence.
            frame_stride: every frame_stride-th frame is searched.
            box_threshold: a box is kept when its best token score (0 to 1) is above this.
            stability_threshold: a box's mask is kept when its stability score (0 to 1) is at least
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
        """Boxes below it were not kept."""
        return self.box_threshold

    def check(self) -> None:
        """See ``Detector.check``."""
        self.detector.check()

    def digests(self) -> dict[str, str]:
        """See ``Detector.digests``."""
        return self.detector.digests()

    def settings(self) -> dict[str, Any]:
        """See ``PromptSource.settings``."""
        return super().settings() | {"detector": self.detector.describe()}

    def description(self) -> dict[str, Any]:
        """See ``PromptSource.description``."""
        return super().description() | {"detector": self.detector.describe()}

    def open(self, device: torch.device) -> None:
        """Load the detector."""
        with stage(DETECTOR):
            self.detector.load(device)

    def find(
        self, video: PromptedVideo, frame_idxs: Sequence[int], texts: Sequence[str]
    ) -> dict[str, list[Prompt]]:
        """See ``PromptSource.find``; a frame goes once through each image encoder."""
        by_text: dict[str, list[Prompt]] = {text: [] for text in texts}
        for frame_idx in frame_idxs:
            for text, prompts in zip(texts, self._on_frame(video, frame_idx, texts), strict=True):
                by_text[text] += prompts
        return by_text

    def keep(self, found: Sequence[Prompt]) -> KeptPrompts:
        """See ``keep_likely`` and ``keep_stable``."""
        visible = super().keep(keep_likely(found, self.box_threshold))
        kept = keep_stable(visible.prompts, self.stability_threshold)
        unstable = PromptCounts(unstable=len(visible.prompts) - len(kept))
        return KeptPrompts(kept, visible.counts + unstable)

    def choose_group(self, unused: Sequence[Prompt], size: int, room: int | None) -> list[Prompt]:
        """See ``leading_group``."""
        return leading_group(unused, size, room)

    def _on_frame(
        self, video: PromptedVideo, frame_idx: int, texts: Sequence[str]
    ) -> list[list[Prompt]]:
        found = self.detector.detect(video.frame(frame_idx), texts, self.box_threshold)
        boxes = [box for detections in found for box in detections.boxes]
        masks = iter(video.masks_of_boxes(frame_idx, boxes))
        by_text = []
        for detections in found:
            own = [next(masks) for _ in detections.boxes]
            scores = [(item.predicted_iou, item.stability_score) for item in own]
            with stage(CODES):
                by_text.append(
                    expression_prompts(
                        frame_idx, detections, [item.mask for item in own], scores, self.name
                    )
                )
        return by_text
