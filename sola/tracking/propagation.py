"""Propagates prompt masks through a whole video: masklets and object tokens."""

import contextlib
import io
from dataclasses import dataclass

import numpy as np
import torch

from sola.tracking.predictor import BatchedPredictor


@dataclass(frozen=True)
class Propagated:
    """Tracks of n prompts of one frame."""

    masks: np.ndarray
    """(n, T, H, W) bool, in the frames' own size."""
    object_tokens: np.ndarray
    """(n, T, D) float32, SAM 2's object pointers."""
    object_scores: np.ndarray
    """(n, T) float32 logits."""


class VideoTracker:
    """One video, open for tracking; each frame is encoded once, when it is first needed."""

    def __init__(self, model: BatchedPredictor, frames: np.ndarray) -> None:
        """Open a video.

        Args:
            model: the tracker.
            frames: (T, H, W, 3) uint8 RGB.
        """
        self.model, self.state = model, model.open_video(frames)
        self.size = (frames.shape[1], frames.shape[2])

    @property
    def num_frames(self) -> int:
        """T."""
        return int(self.state["num_frames"])

    @torch.inference_mode()
    def propagate(self, frame_idx: int, masks: np.ndarray) -> Propagated:
        """Track n masks of one frame forward to the end, then backward to the start.

        Args:
            frame_idx: the prompt frame.
            masks: (n, H, W) bool, n >= 1.
        """
        self.model.forget_objects(self.state)
        logits: dict[int, torch.Tensor] = {}
        with contextlib.redirect_stderr(io.StringIO()):  # upstream's own progress bars
            for object_idx, mask in enumerate(masks):
                self.model.add_new_mask(self.state, frame_idx, object_idx, mask)
            for is_reverse in (False, True):
                # the backward pass reads what the forward pass remembered
                passes = self.model.propagate_in_video(self.state, frame_idx, reverse=is_reverse)
                logits |= {index: values[:, 0] > 0 for index, _, values in passes}
        return self._collect(logits)

    def _collect(self, masks: dict[int, torch.Tensor]) -> Propagated:
        outputs = self.state["output_dict"]
        frames = outputs["cond_frame_outputs"] | outputs["non_cond_frame_outputs"]
        order = range(self.num_frames)
        tokens = torch.stack([frames[t]["obj_ptr"] for t in order], dim=1)
        scores = torch.stack([frames[t]["object_score_logits"][:, 0] for t in order], dim=1)
        return Propagated(
            masks=torch.stack([masks[t] for t in order], dim=1).cpu().numpy(),
            object_tokens=tokens.float().cpu().numpy(),
            object_scores=scores.float().cpu().numpy(),
        )
