"""One video, open for SAM 2."""

from collections.abc import Sequence

import numpy as np

from sola.trackers.base import BoxMask, GeneratedMask
from sola.trackers.batches import BatchSize
from sola.trackers.sam2.mask_generator import MaskGenerator
from sola.trackers.sam2.propagation import VideoTracker


class Sam2Session(VideoTracker):
    """See ``Session``; ``VideoTracker`` tracks.

    Args:
        generator: makes masks on single frames. It, its model and the batch size are those of all
            videos.
        frames: see ``Session``.
        feature_budget_mib: see ``VideoTracker``.
        batch_size: see ``VideoTracker``.
    """

    def __init__(
        self,
        generator: MaskGenerator,
        frames: Sequence[np.ndarray],
        feature_budget_mib: float,
        batch_size: BatchSize,
    ) -> None:
        batch_size.restore()  # another video may need less memory
        super().__init__(generator.model, frames, feature_budget_mib, batch_size)
        self.generator = generator

    def propose_masks(self, frame_idx: int) -> list[GeneratedMask]:
        """See ``Session.propose_masks``."""
        return self.generator.generate(self.frame(frame_idx))

    def masks_of_boxes(self, frame_idx: int, boxes: np.ndarray) -> list[BoxMask]:
        """See ``Session.masks_of_boxes``; the frame goes once through the image encoder."""
        return self.generator.masks_of(self.frame(frame_idx), boxes)
