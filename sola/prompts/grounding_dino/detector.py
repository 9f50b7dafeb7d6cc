"""Interface of a detector: a network that finds boxes for sentences."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch


@dataclass(frozen=True)
class Detections:
    """Boxes found on one frame for one text, in no particular order."""

    boxes: np.ndarray
    """(n, 4) float32, left, top, right, bottom in pixels; they may reach beyond the frame."""
    token_scores: np.ndarray
    """(n, L) float32 in [0, 1], for each token of the text, special tokens included."""
    phrases: tuple[str, ...]
    """n, the words of the text that score above the text threshold; "" for none."""


class Detector(ABC):
    """Finds boxes of what a sentence refers to, on one frame at a time.

    Constructors check their arguments and touch no file; ``load`` reads the weights.
    """

    def check(self) -> None:  # noqa: B027  # a detector without files needs nothing
        """Look for files and packages before anything is written.

        Raises:
            UserError: if something is missing.
        """

    def digests(self) -> dict[str, str]:
        """Return the SHA-256 of the weights, under the name that index.json gives it."""
        return {}

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """Return the values that decide what is found, without paths and box thresholds."""

    def load(self, device: torch.device) -> None:  # noqa: B027
        """Load the weights. Called once, before the first ``detect``."""

    @abstractmethod
    def detect(
        self, frame: np.ndarray, texts: Sequence[str], box_threshold: float
    ) -> list[Detections]:
        """Find the boxes of each text on one frame.

        Args:
            frame: (H, W, 3) uint8 RGB.
            texts: sentences, as they are written.
            box_threshold: boxes whose best token score is above this are returned.

        Returns:
            One result per text, which does not depend on the other texts.
        """
