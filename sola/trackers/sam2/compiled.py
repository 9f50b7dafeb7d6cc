"""Has torch compile the parts of SAM 2 that take its time."""

import os
import shutil
import sys
import time

import numpy as np
from sam2.modeling.sam2_base import SAM2Base

from sola.errors import UserError
from sola.trackers.sam2.propagation import VideoTracker


def compile_parts(model: SAM2Base) -> None:
    """Have torch compile the parts of a tracker as they first run, of which ``warm_up`` sees to.

    Results change by rounding. What fills a cache at its first run (positional encodings) stays
    outside, as it would be compiled twice.

    Raises:
        UserError: if there is no compiler.
    """
    compiler = os.environ.get("CXX", "clang++" if sys.platform == "darwin" else "g++")
    if shutil.which(compiler) is None:
        raise UserError(
            f"tracker.compile=true: the compiler {compiler}, which torch needs for it, is not on "
            "the PATH. Install it, name another one in CXX, or take tracker.compile=false."
        )
    model.image_encoder.trunk.compile(dynamic=False)  # one image at a time
    model.memory_attention.compile(dynamic=True)  # numbers of memories, pointers and objects vary
    # Of these only the number of objects varies, which torch finds out at the second one.
    model.memory_encoder.mask_downsampler.compile()
    model.memory_encoder.fuser.compile()
    model.sam_mask_decoder.compile()


def warm_up(model: SAM2Base) -> float:
    """Track a blank video with one, three and two objects: all that propagation compiles.

    Returns:
        Seconds that it took.
    """
    start = time.monotonic()
    track_blank_video(model, 1, num_frames=1)  # fills the caches of positional encodings
    for num_objects in (1, 3, 2):
        track_blank_video(model, num_objects)
    return time.monotonic() - start


def track_blank_video(model: SAM2Base, num_objects: int, num_frames: int = 3) -> None:
    """Propagate from the middle of a black video of the model's own size."""
    size = model.image_size
    frames = np.zeros((num_frames, size, size, 3), np.uint8)
    masks = np.zeros((num_objects, size, size), bool)
    masks[:, : size // 2] = True
    VideoTracker(model, list(frames)).propagate(num_frames // 2, masks)
