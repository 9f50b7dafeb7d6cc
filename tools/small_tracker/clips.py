"""Training clips and batches of them.

The caller passes the function that makes scenes (``sola.datasets.moving_shapes.scene.make_scene``
in the scripts), so that tracking stays independent of the data sets.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

SCENE_FRAMES = 16
"""Frames of a scene; SAM 2 also scales the pointers' time code by it, in training and inference."""
PLAIN: dict[str, Any] = {
    "min_objects": 1,
    "max_objects": 4,
    "motions": ("left", "right", "up", "down", "rotating", "growing", "shrinking", "still"),
    "distractor_probability": 0.0,
    "has_moving_background": False,
    "max_noise": 6.0,
}
"""Settings of easy scenes."""
MIN_VISIBLE_PX = 60
"""Objects with fewer visible pixels are neither prompted nor scored for their attributes."""
PIXEL_MEAN = (0.485, 0.456, 0.406)
PIXEL_STD = (0.229, 0.224, 0.225)


class SceneObject(Protocol):
    """Attributes of one object that training reads."""

    @property
    def shape(self) -> str:
        """Name of the shape."""

    @property
    def colour(self) -> str:
        """Name of the colour."""

    @property
    def motion(self) -> str:
        """Name of the motion."""


@dataclass(frozen=True)
class Vocabulary:
    """Names of the attribute classes, in the order of the heads' outputs."""

    shapes: tuple[str, ...]
    colours: tuple[str, ...]
    motions: tuple[str, ...]

    def label(self, scene_object: SceneObject) -> tuple[int, int, int]:
        """Return the class numbers of shape, colour and motion."""
        return (
            self.shapes.index(scene_object.shape),
            self.colours.index(scene_object.colour),
            self.motions.index(scene_object.motion),
        )


@dataclass(frozen=True)
class Clip:
    """Some frames of one scene."""

    frames: np.ndarray
    """(T, H, W, 3) uint8, RGB."""
    masks: np.ndarray
    """(G, T, H, W) bool, the visible part of each object."""
    labels: np.ndarray
    """(G, 3) int64, classes of shape, colour and motion."""


@dataclass(frozen=True)
class ClipSource:
    """Draws clips of easy and of full scenes."""

    make_scene: Callable[[int, Any, Sequence[int]], Any]
    """(seed, settings, frame indices) -> scene with frames, masks and objects."""
    easy_settings: Any
    full_settings: Any
    vocabulary: Vocabulary

    def draw(self, seed: int, frame_indices: Sequence[int], *, is_easy: bool) -> Clip:
        """Draw the given frames of scene ``seed``."""
        settings = self.easy_settings if is_easy else self.full_settings
        scene = self.make_scene(seed, settings, list(frame_indices))
        labels = [self.vocabulary.label(scene_object) for scene_object in scene.objects]
        return Clip(scene.frames, scene.masks, np.array(labels, np.int64).reshape(-1, 3))


@dataclass(frozen=True)
class TrackBatch:
    """Objects to track through clips of equal length."""

    images: Tensor
    """(B * T, 3, H, W) float, normalised, clip by clip."""
    clip_idx: Tensor
    """(N,) int64, clip of each object."""
    masks: Tensor
    """(N, T, 1, H, W) float, masks of each object."""
    others: Tensor
    """(N, T, 1, H, W) float, masks of the other objects of its clip."""
    labels: Tensor
    """(N, 3) int64."""

    @property
    def num_frames(self) -> int:
        """Number of frames, T."""
        return self.masks.shape[1]


def normalise(frames: np.ndarray) -> Tensor:
    """Convert frames (B, H, W, 3) uint8 to SAM 2's normalised images (B, 3, H, W) float."""
    images = torch.from_numpy(frames).permute(0, 3, 1, 2).float() / 255
    mean, std = torch.tensor(PIXEL_MEAN), torch.tensor(PIXEL_STD)
    return (images - mean[:, None, None]) / std[:, None, None]


def batch_tracks(
    clips: Sequence[Clip], rng: np.random.Generator | None = None, max_per_clip: int | None = None
) -> TrackBatch | None:
    """Return the objects visible on their clip's first frame as a batch; None without objects.

    Args:
        clips: clips of equal length.
        rng: shuffles the objects of a clip before ``max_per_clip`` of them are taken.
        max_per_clip: largest number of objects per clip; None takes all.
    """
    clip_idx, masks, others, labels = [], [], [], []
    for number, clip in enumerate(clips):
        visible = np.flatnonzero(clip.masks[:, 0].sum((1, 2)) > MIN_VISIBLE_PX)
        if rng is not None:
            rng.shuffle(visible)
        for i in visible[:max_per_clip]:
            clip_idx.append(number)
            masks.append(clip.masks[i])
            others.append(clip.masks.any(0) & ~clip.masks[i])
            labels.append(clip.labels[i])
    if not clip_idx:
        return None
    return TrackBatch(
        images=normalise(np.concatenate([clip.frames for clip in clips])),
        clip_idx=torch.tensor(clip_idx),
        masks=torch.from_numpy(np.stack(masks))[:, :, None].float(),
        others=torch.from_numpy(np.stack(others))[:, :, None].float(),
        labels=torch.from_numpy(np.stack(labels)),
    )
