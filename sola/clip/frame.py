"""One frame of a clip, and how large it may be."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

MAX_FRAME_PIXELS = 1 << 26
"""8192 x 8192, twice of 8K video: one frame takes 200 MB."""


@dataclass(frozen=True)
class ClipFrame:
    """A frame as it is shown, and when."""

    pixels: np.ndarray
    """(H, W, 3) uint8 RGB."""
    start_s: float
    """From the first frame's."""
    end_s: float
    file: str = ""
    """Name of its image; "" in a video."""


def check_pixels(path: Path, width: int, height: int) -> None:
    """Raise ValueError for a frame that is too large to be held in memory."""
    if width * height > MAX_FRAME_PIXELS:
        raise ValueError(
            f"{path}: frame of {width} x {height} px; at most {MAX_FRAME_PIXELS:,} pixels are "
            "taken. Scale it down."
        )
