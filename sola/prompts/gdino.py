"""Boxes of a detector for each expression, made into masks by the tracker, as prompts."""

import itertools
from collections import Counter
from collections.abc import Sequence

import numpy as np
import torch

from sola.checks import between
from sola.prompts.base import Detector, KeptPrompts, PromptedVideo, PromptSource
from sola.prompts.selection import TrackingRule
from sola.trackers.stages import DETECTOR, stage
from sola.types import Prompt


class DetectorBoxes(PromptSource):
    """Boxes of each expression on every ``frame_stride``-th frame, made into masks."""

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
        """See ``PromptSource.found_threshold``."""
        return self.box_threshold

    def check(self) -> None:
        """See ``Detector.check``."""
        self.detector.check()

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
        """See ``PromptSource.find``. A frame goes once through each image encoder.

        Boxes that hold no pixel (without an area, inverted or not finite) are dropped.
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

    def keep(self, found: Sequence[Prompt]) -> KeptPrompts:
        """Keep likely boxes with a stable mask, compared in float32 as the published code does."""
        box, stability = np.float32(self.box_threshold), np.float32(self.stability_threshold)
        likely = [prompt for prompt in found if np.float32(max(prompt.token_scores)) > box]
        visible = super().keep(likely)
        kept = [p for p in visible.prompts if np.float32(p.stability_score) >= stability]
        unstable = Counter(unstable=len(visible.prompts) - len(kept))
        return KeptPrompts(kept, visible.counts + unstable)

    def choose_group(self, unused: Sequence[Prompt], size: int, room: int | None) -> list[Prompt]:
        """Choose the first prompt and its direct successors of the same frame, fewer near the cap.

        This is the rule of the published gdino script. It does not look beyond the first prompt of
        another frame. It counts the group twice when it compares with the cap, so a group has at
        most half of the room, rounded up.
        """
        most = size if room is None else min(size, -(-room // 2))
        leading = itertools.takewhile(lambda p: p.frame_idx == unused[0].frame_idx, unused)
        return list(leading)[:most]


def _has_area(box: np.ndarray) -> bool:
    sides = box[2:] - box[:2]
    return bool((np.isfinite(sides) & (sides > 0)).all())
