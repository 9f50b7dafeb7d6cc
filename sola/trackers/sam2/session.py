"""One video, open for SAM 2."""

import logging
from collections.abc import Sequence

import numpy as np
from sam2.modeling.sam2_base import SAM2Base

from sola.trackers.base import BoxMask, GeneratedMask, Propagated, Session
from sola.trackers.batches import BatchSize
from sola.trackers.sam2.box_masks import BoxMasker
from sola.trackers.sam2.compiled import compile_parts, track_blank_video, warm_up
from sola.trackers.sam2.kernels import AttentionKernels
from sola.trackers.sam2.mask_generator import MaskGenerator
from sola.trackers.sam2.propagation import MAX_OBJECTS, VideoTracker
from sola.trackers.sam2.settings import MaskGeneratorConfig
from sola.trackers.stages import FRAMES, stage

log = logging.getLogger(__name__)


class Sam2Networks:
    """What the sessions of all videos share: the network, and how much goes through it at a time.

    Args:
        model: SAM 2 in evaluation mode, on its device.
        mask_generator: settings of automatic masks.
    """

    def __init__(self, model: SAM2Base, mask_generator: MaskGeneratorConfig) -> None:
        self.model = model
        self.generator = MaskGenerator(model, mask_generator)
        self.masker = BoxMasker(model)
        self.batch_size = BatchSize("objects", MAX_OBJECTS)

    def warm_up(self, *, is_compiled: bool) -> None:
        """Log the attention kernels of a GPU; compile the network if asked."""
        if next(self.model.parameters()).is_cuda:
            with AttentionKernels() as kernels:
                track_blank_video(self.model, 1)
            log.info("attention: %s", "; ".join(kernels.summary()))
        if is_compiled:
            compile_parts(self.model)
            log.info("compiled in %.0f s", warm_up(self.model))


class Sam2Session(Session):
    """See ``Session``; ``VideoTracker`` says how a video is tracked."""

    def __init__(
        self,
        networks: Sam2Networks,
        frames: Sequence[np.ndarray],
        *,
        feature_budget_mib: float,
        fill_hole_area: int,
    ) -> None:
        super().__init__(frames)
        networks.batch_size.restore()  # another video may need less memory
        self.networks = networks
        self.tracker = VideoTracker(
            networks.model,
            frames,
            feature_budget_mib=feature_budget_mib,
            fill_hole_area=fill_hole_area,
            batch_size=networks.batch_size,
        )

    def propagate(self, frame_idx: int, masks: np.ndarray) -> Propagated:
        """See ``Session.propagate``."""
        return self.tracker.propagate(frame_idx, masks)

    def propose_masks(self, frame_idx: int) -> list[GeneratedMask]:
        """See ``Session.propose_masks``."""
        return self.networks.generator.generate(self._frame(frame_idx))

    def masks_of_boxes(self, frame_idx: int, boxes: np.ndarray) -> list[BoxMask]:
        """See ``Session.masks_of_boxes``; the frame goes once through the image encoder."""
        return self.networks.masker.masks_of(self._frame(frame_idx), boxes)

    def _frame(self, frame_idx: int) -> np.ndarray:
        with stage(FRAMES):
            return self.frames[frame_idx]
