"""A frame as GroundingDINO takes it."""

from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor

PIXEL_MEAN = (0.485, 0.456, 0.406)
PIXEL_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class ImageSize:
    """To which size frames are brought; their shape stays, and nothing is padded."""

    shortest_edge_px: int = 800
    longest_edge_px: int = 1333
    """Larger than the shortest edge; the scale that makes the image smaller is taken."""

    def of(self, height: int, width: int) -> tuple[int, int]:
        """(H, W) of the image for a frame of this size."""
        short, long = min(height, width), max(height, width)
        edge = self.shortest_edge_px
        if long / short * edge > self.longest_edge_px:
            edge = round(self.longest_edge_px * short / long)
        if height <= width:
            return edge, int(edge * width / height)
        return int(edge * height / width), edge


def to_image(frame: np.ndarray, size: ImageSize) -> Tensor:
    """(1, 3, H', W') float32, resized and normalised as in GroundingDINO's training.

    Args:
        frame: (H, W, 3) uint8 RGB.
        size: to which size.
    """
    height, width = size.of(*frame.shape[:2])
    resized = Image.fromarray(frame).resize((width, height), Image.Resampling.BILINEAR)
    pixels = torch.from_numpy(np.array(resized)).permute(2, 0, 1).float() / 255
    mean, std = torch.tensor(PIXEL_MEAN), torch.tensor(PIXEL_STD)
    return ((pixels - mean[:, None, None]) / std[:, None, None])[None]
