"""One frame of a clip."""

from dataclasses import dataclass

import numpy as np


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
