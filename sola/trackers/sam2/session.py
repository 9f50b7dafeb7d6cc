"""One video, open for SAM 2."""

from collections.abc import Sequence

import numpy as np
from sam2.modeling.sam2_base import SAM2Base

from sola.trackers.base import BoxMask, GeneratedMask
from sola.trackers.batches import BatchSize
from sola.trackers.sam2.mask_generator import BoxMasker, MaskGenerator
from sola.trackers.sam2.propagation import MAX_OBJECTS, VideoTracker
from sola.trackers.sam2.tracker import MaskGeneratorConfig
from sola.trackers.stages import FRAMES, stage


class Sam2Networks:
    """What the sessions of all videos share.

    Args:
        model: SAM 2 in evaluation mode, on its device.
        mask_generator: settings of automatic masks.
    """

    def __init__(self, model: SAM2Base, mask_generator: MaskGeneratorConfig) -> None:
        self.model = model
        self.generator = MaskGenerator(model, mask_generator)
        self.masker = BoxMasker(model)
        self.batch_size = BatchSize("objects", MAX_OBJECTS)


class Sam2Session(VideoTracker):
    """See ``Session``; ``VideoTracker`` tracks."""

    def __init__(
        self,
        networks: Sam2Networks,
        frames: Sequence[np.ndarray],
        feature_budget_mib: float,
        fill_hole_area: int,
    ) -> None:
        networks.batch_size.restore()  # another video may need less memory
        super().__init__(
            networks.model,
            frames,
            feature_budget_mib=feature_budget_mib,
            fill_hole_area=fill_hole_area,
            batch_size=networks.batch_size,
        )
        self.networks = networks

    def propose_masks(self, frame_idx: int) -> list[GeneratedMask]:
        """See ``Session.propose_masks``."""
        return self.networks.generator.generate(self._frame(frame_idx))

    def masks_of_boxes(self, frame_idx: int, boxes: np.ndarray) -> list[BoxMask]:
        """See ``Session.masks_of_boxes``; the frame goes once through the image encoder."""
        return self.networks.masker.masks_of(self._frame(frame_idx), boxes)

    def _frame(self, frame_idx: int) -> np.ndarray:
        with stage(FRAMES):
            return self.frames[frame_idx]
