"""Image features of a video's frames, computed once and kept as far as a budget of memory goes."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image
from sam2.modeling.sam2_base import SAM2Base
from torch import Tensor

from sola.trackers.stages import FRAMES, IMAGE_ENCODER, stage

PIXEL_MEAN = torch.tensor((0.485, 0.456, 0.406))[:, None, None]
PIXEL_STD = torch.tensor((0.229, 0.224, 0.225))[:, None, None]
MIB = 2**20

FeatureMaps = list[Tensor]
"""(1, C, h, w) each, at strides 4, 8 and 16."""


class FrameFeatures:
    """What the image encoder makes of each frame.

    Passes over a video visit its frames one after the other, again and again: a cache that forgot
    the oldest would forget each frame just before its turn. So the frames that came first are kept
    up to the budget, those after them are encoded again in every pass, and the latest one stays
    until the next. Results do not depend on the budget.
    """

    def __init__(self, model: SAM2Base, frames: Sequence[np.ndarray], budget_mib: float) -> None:
        """Features of a video.

        Args:
            model: SAM 2.
            frames: T frames (H, W, 3) uint8 RGB, read when they are needed.
            budget_mib: memory for kept features; 0 keeps those of one frame alone.
        """
        self.model, self.frames = model, frames
        self._room = budget_mib * MIB
        self._kept: dict[int, FeatureMaps] = {}
        self._latest: tuple[int, FeatureMaps] = (-1, [])
        self._positions: FeatureMaps = []  # the same for every frame

    def of_frame(self, frame_idx: int, num_objects: int) -> dict[str, Any]:
        """The features of one frame for n objects, as ``SAM2Base.track_step`` names them."""
        maps = self._maps(frame_idx)
        expanded = {
            "backbone_fpn": [level.expand(num_objects, -1, -1, -1) for level in maps],
            "vision_pos_enc": [level.expand(num_objects, -1, -1, -1) for level in self._positions],
        }
        _, features, positions, sizes = self.model._prepare_backbone_features(expanded)
        return {
            "current_vision_feats": features,
            "current_vision_pos_embeds": positions,
            "feat_sizes": sizes,
        }

    def forget(self) -> bool:
        """Keep no features from now on but those of one frame; whether there were any."""
        has_kept = bool(self._kept)
        self._kept, self._latest, self._room = {}, (-1, []), 0.0
        return has_kept

    def _maps(self, frame_idx: int) -> FeatureMaps:
        if frame_idx in self._kept:
            return self._kept[frame_idx]
        if self._latest[0] != frame_idx:
            self._latest = (frame_idx, self._encode(frame_idx))
        maps = self._latest[1]
        num_bytes = sum(level.nbytes for level in maps)
        if num_bytes <= self._room:
            self._room -= num_bytes
            self._kept[frame_idx] = maps
        return maps

    def _encode(self, frame_idx: int) -> FeatureMaps:
        parameter = next(self.model.parameters())
        with stage(FRAMES):
            image = to_image(self.frames[frame_idx], self.model.image_size)
        with stage(IMAGE_ENCODER):
            found = self.model.forward_image(image[None].to(parameter.device, parameter.dtype))
        self._positions = self._positions or list(found["vision_pos_enc"])
        return list(found["backbone_fpn"])


def to_image(frame: np.ndarray, size: int) -> Tensor:
    """(3, size, size) normalised image, resized as SAM 2's own video loader does."""
    pixels = np.asarray(Image.fromarray(frame).resize((size, size))) / 255.0
    image = torch.from_numpy(pixels).permute(2, 0, 1).float()
    return (image - PIXEL_MEAN) / PIXEL_STD
