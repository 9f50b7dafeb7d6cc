"""Interface of a tracker: a network that follows masks through a video.

docs/adding_a_tracker.md shows how to add one.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sola.checks import at_least, folder_name
from sola.errors import UserError
from sola.trackers.stages import FRAMES, stage
from sola.types import Masklet, RunLength


@dataclass(frozen=True)
class Propagated:
    """Tracks of n prompts of one frame."""

    masklets: tuple[Masklet, ...]
    """n masklets of T masks of the frames' size."""
    object_tokens: np.ndarray | None
    """(n, T, D) finite floats; None if the tracker has no tokens."""
    object_scores: np.ndarray
    """(n, T) logits, above 0 where the tracker sees the object."""


@dataclass(frozen=True)
class GeneratedMask:
    """A mask that the tracker makes on one frame, for a box or automatically."""

    mask: RunLength
    predicted_iou: float
    """The tracker's estimate of the IoU with the object, 0 to 1."""
    stability_score: float
    """IoU of the masks at a higher and at a lower threshold, 0 to 1; 0 if a box has no mask."""


class Session(ABC):
    """One video, open for tracking.

    Args:
        frames: T >= 1 frames (H, W, 3) uint8 RGB of one size, decoded lazily. Reading the same
            frame twice in a row decodes it once.

    Attributes:
        frames: the argument.
        num_frames: T.
        size: (H, W).
    """

    def __init__(self, frames: Sequence[np.ndarray]) -> None:
        self.frames = frames
        self.num_frames = len(frames)
        self.size: tuple[int, int] = (frames[0].shape[0], frames[0].shape[1])

    def frame(self, frame_idx: int) -> np.ndarray:
        """Return a frame (H, W, 3); decoding is timed as the stage ``FRAMES``."""
        with stage(FRAMES):
            return self.frames[frame_idx]

    @abstractmethod
    def propagate(self, frame_idx: int, masks: np.ndarray) -> Propagated:
        """Track n masks of one frame through all earlier and later frames.

        A track must depend only on the video, the frame and its own mask, not on the other masks.

        Args:
            frame_idx: the prompt frame.
            masks: (n, H, W) bool, n >= 1.

        Raises:
            torch.OutOfMemoryError: if the GPU cannot hold even one object; the video is skipped, as
                it is if a library of CUDA runs out, see ``sola.trackers.batches.is_out_of_memory``.
        """

    def propose_masks(self, frame_idx: int) -> list[GeneratedMask]:
        """Return masks of everything on a frame, possibly none.

        Raises:
            UserError: if the tracker cannot propose masks.
        """
        raise UserError(f"{type(self).__name__} cannot propose masks. Use prompt_source=gt.")

    def masks_of_boxes(self, frame_idx: int, boxes: np.ndarray) -> list[GeneratedMask]:
        """Return one mask for each box on a frame.

        Args:
            frame_idx: the frame.
            boxes: (n, 4) float32, left, top, right, bottom in pixels, n >= 1.

        Raises:
            UserError: if the tracker cannot make masks of boxes.
        """
        raise UserError(f"{type(self).__name__} cannot prompt with boxes. Use prompt_source=gt.")


class Tracker(ABC):
    """A network that follows masks through videos.

    The constructor checks its arguments and touches no file, network or device.

    Args:
        name: name of the folders under data/tracks and data/prompts, recorded in checkpoints of
            selectors.
        token_dim: D, width of an object token; None if the tracker has no tokens. Trained
            selectors need tokens.
    """

    def __init__(self, name: str, token_dim: int | None) -> None:
        folder_name(name=name)
        at_least(1, token_dim=token_dim)
        self.name, self.token_dim = name, token_dim

    def check(self) -> Mapping[str, Path] | None:
        """Check that the files that ``load`` reads exist, and fetch those of the hub.

        Called before anything is written.

        Returns:
            Files and folders of weights by their keys in the configuration, which sola download
            shows; None if they are unknown.

        Raises:
            UserError: if a file is missing.
        """
        return None

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """Return the settings that decide the tracks, as plain values by name.

        They are stored with the tracks; a run with other values refuses these tracks. Leave out
        paths, names of modules and memory budgets.

        The key ``checkpoint_sha256`` (the SHA-256 of the weights, or "random" for weights drawn
        from the seed) also decides whether a trained selector can use the object tokens. Leave it
        out if the tracker has no weights.
        """

    @abstractmethod
    def load(self, device: torch.device, seed: int) -> None:
        """Load the weights. Called once in each process, before the first video.

        It runs in the precision of the run: under autocast with trainer.precision=bf16-mixed.

        Args:
            device: the device of this process.
            seed: seed of random weights.

        Raises:
            UserError: if the weights do not fit the network.
        """

    @abstractmethod
    def open(self, frames: Sequence[np.ndarray]) -> Session:
        """Open a video; see ``Session``. Called after ``load``, one video at a time."""
