"""Random prompts for training: points, boxes and masks, and points on no object."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from tools.small_tracker.clips import MIN_VISIBLE_PX, Clip

KINDS = ("point", "box", "mask")
BOX_JITTER = 0.08


@dataclass(frozen=True)
class PromptMix:
    """Shares of the kinds of prompts on single images; the rest are masks."""

    background: float = 0.1
    """Points on no object, whose masks should get low scores."""
    point: float = 0.35
    box: float = 0.2


@dataclass
class PromptGroup:
    """Prompts of one kind on the images of a batch."""

    kind: str
    image_idx: list[int] = field(default_factory=list)
    object_idx: list[int] = field(default_factory=list)
    """Index of the object in its image, -1 for background."""
    corners: list[np.ndarray] = field(default_factory=list)
    """(1, 2) point, or (2, 2) corners of a box, x and y in pixels; zeros for masks."""
    targets: list[np.ndarray] = field(default_factory=list)
    """(H, W) bool."""

    def add(self, image: int, object_idx: int, corners: np.ndarray, target: np.ndarray) -> None:
        """Append one prompt."""
        self.image_idx.append(image)
        self.object_idx.append(object_idx)
        self.corners.append(corners)
        self.targets.append(target)

    def coordinates(self) -> tuple[Tensor, Tensor]:
        """Return the input of SAM 2's prompt encoder: points (P, k, 2) float, labels (P, k) int."""
        points = torch.from_numpy(np.stack(self.corners).astype(np.float32))
        return points, point_labels(self.kind, len(self.corners))

    def target_masks(self) -> Tensor:
        """Return the target masks, (P, 1, H, W) float."""
        return torch.from_numpy(np.stack(self.targets))[:, None].float()


def point_labels(kind: str, num_prompts: int) -> Tensor:
    """Return SAM's labels of points (1), box corners (2, 3), or the padding of a mask (-1)."""
    labels = {"point": [1], "box": [2, 3], "mask": [-1]}[kind]
    return torch.tensor([labels] * num_prompts, dtype=torch.int32)


def random_point(mask: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return x, y of a random pixel of a non-empty mask (H, W), (1, 2)."""
    ys, xs = np.nonzero(mask)
    pick = rng.integers(len(ys))
    return np.array([[xs[pick], ys[pick]]], np.float32)


def random_box(mask: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return the corners of a non-empty mask's box, (2, 2), with sides moved by up to 8 %."""
    ys, xs = np.nonzero(mask)
    box = np.array([[xs.min(), ys.min()], [xs.max() + 1, ys.max() + 1]], np.float32)
    jitter = rng.uniform(-BOX_JITTER, BOX_JITTER, (2, 2)) * (box[1] - box[0])
    return np.clip(box + jitter, 0, mask.shape[1]).astype(np.float32)


def draw_prompts(
    clips: Sequence[Clip],
    frame: int,
    rng: np.random.Generator,
    mix: PromptMix,
    prompts_per_image: int,
) -> list[PromptGroup]:
    """Draw prompts on one frame of every clip; empty groups are left out."""
    groups = {kind: PromptGroup(kind) for kind in KINDS}
    for image, clip in enumerate(clips):
        masks: np.ndarray = clip.masks[:, frame]
        visible = np.flatnonzero(masks.sum((1, 2)) > MIN_VISIBLE_PX)
        background = ~np.any(masks, axis=0)
        for _ in range(prompts_per_image):
            if rng.random() < mix.background or not len(visible):
                if background.any():
                    point = random_point(background, rng)
                    groups["point"].add(image, -1, point, np.zeros_like(background))
            else:
                _add_object(groups, image, masks, int(rng.choice(visible)), rng, mix)
    return [group for group in groups.values() if group.image_idx]


def first_frame_prompts(masks: Tensor, kind: str, rng: np.random.Generator) -> dict[str, Tensor]:
    """Return point or box prompts of masks (N, 1, H, W) as ``SAM2Base.track_step`` takes them."""
    draw = random_point if kind == "point" else random_box
    corners = np.stack([draw(mask, rng) for mask in masks[:, 0].numpy() > 0])
    return {
        "point_coords": torch.from_numpy(corners),
        "point_labels": point_labels(kind, len(corners)),
    }


def _add_object(
    groups: dict[str, PromptGroup],
    image: int,
    masks: np.ndarray,
    object_idx: int,
    rng: np.random.Generator,
    mix: PromptMix,
) -> None:
    """Add a prompt of a random kind on one object."""
    target = masks[object_idx]
    draw = rng.random() * (1 - mix.background)
    if draw < mix.point:
        groups["point"].add(image, object_idx, random_point(target, rng), target)
    elif draw < mix.point + mix.box:
        groups["box"].add(image, object_idx, random_box(target, rng), target)
    else:
        groups["mask"].add(image, object_idx, np.zeros((1, 2), np.float32), target)
