"""Compile SAM 2 with torch.compile."""

import logging
import os
import shutil
import sys
import time
import warnings

import numpy as np
from sam2.modeling.sam2_base import SAM2Base

from sola.errors import UserError
from sola.trackers.sam2.propagation import VideoTracker

log = logging.getLogger(__name__)


def compile_network(model: SAM2Base) -> None:
    """Compile the slow parts of SAM 2, and track blank videos so that they compile now.

    Tracks change by rounding. Parts that fill a cache at their first run (positional encodings)
    are left out: they would be compiled twice.

    Raises:
        UserError: if there is no compiler.
    """
    compiler = os.environ.get("CXX", "clang++" if sys.platform == "darwin" else "g++")
    if shutil.which(compiler) is None:
        raise UserError(
            f"tracker.compile: the compiler {compiler}, which torch needs, is not on the PATH. "
            "Install it, name another one in CXX, or set tracker.compile=false."
        )
    start = time.monotonic()
    model.image_encoder.trunk.compile(dynamic=False)  # one image at a time
    model.memory_attention.compile(dynamic=True)  # numbers of memories, pointers and objects vary
    # only the number of objects varies here, which torch finds out at the second one
    model.memory_encoder.mask_downsampler.compile()
    model.memory_encoder.fuser.compile()
    model.sam_mask_decoder.compile()
    with warnings.catch_warnings():
        # rotary attention: its complex numbers stay single operators
        warnings.filterwarnings("ignore", "Torchinductor does not support code generation")
        for num_objects, num_frames in ((1, 1), (1, 3), (3, 3), (2, 3)):  # the first fills caches
            _track_blank_video(model, num_objects, num_frames)
    log.info("compiled in %.0f s", time.monotonic() - start)


def _track_blank_video(model: SAM2Base, num_objects: int, num_frames: int) -> None:
    size = model.image_size
    frames = np.zeros((num_frames, size, size, 3), np.uint8)
    masks = np.zeros((num_objects, size, size), bool)
    masks[:, : size // 2] = True
    VideoTracker(model, list(frames)).propagate(num_frames // 2, masks)
