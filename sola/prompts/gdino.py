"""Boxes of GroundingDINO for each expression, made into masks by the tracker, as prompts."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import torch

from sola.config.schema import PromptSourceConfig
from sola.prompts.base import KeptPrompts, PromptCounts, PromptedVideo, PromptSource
from sola.prompts.grounding_dino import (
    Detector,
    build_detector,
    check_detector,
    detector_sha256,
    expression_prompts,
    keep_likely,
    keep_stable,
)
from sola.trackers.stages import CODES, DETECTOR, stage
from sola.types import Prompt

DETECTION_KEYS = (
    "detector",
    "detector_network",
    "detector_vocabulary",
    "shortest_edge_px",
    "longest_edge_px",
    "text_threshold",
)
"""Values that decide what is found; the others only drop some of it."""


class GroundingDino(PromptSource):
    """What a detector finds of each expression on every ``frame_stride``-th frame."""

    is_by_expression = True

    def __init__(self, rule: PromptSourceConfig) -> None:
        super().__init__(rule)
        self.detector: Detector | None = None

    def check(self) -> None:
        """See ``check_detector``."""
        check_detector(self.rule)

    def digests(self) -> dict[str, str]:
        """See ``PromptSource.digests``."""
        return {"detector_sha256": detector_sha256(self.rule)}

    def settings(self) -> dict[str, Any]:
        """See ``DETECTION_KEYS``."""
        values = dataclasses.asdict(self.rule)
        del values["detector_network"]["checkpoint"]
        return {key: values[key] for key in DETECTION_KEYS}

    def open(self, device: torch.device) -> None:
        """Load the detector."""
        with stage(DETECTOR):
            self.detector = build_detector(self.rule).to(device)

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
        visible = super().keep(keep_likely(found, self.rule.box_threshold))
        kept = keep_stable(visible.prompts, self.rule.stability_threshold)
        unstable = PromptCounts(unstable=len(visible.prompts) - len(kept))
        return KeptPrompts(kept, visible.counts + unstable)

    def _on_frame(
        self, video: PromptedVideo, frame_idx: int, texts: Sequence[str]
    ) -> list[list[Prompt]]:
        assert self.detector is not None, "opened before"
        found = self.detector.detect(video.frame(frame_idx), texts)
        boxes = [box for detections in found for box in detections.boxes]
        masks = iter(video.masks_of_boxes(frame_idx, boxes))
        by_text = []
        for detections in found:
            own = [next(masks) for _ in detections.boxes]
            scores = [(item.predicted_iou, item.stability_score) for item in own]
            with stage(CODES):
                by_text.append(
                    expression_prompts(frame_idx, detections, [item.mask for item in own], scores)
                )
        return by_text
