"""Read frames from disk as uint8 arrays.

Pillow decodes them, as in SAM 2's own loader, so that trackers see the same pixels.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from sola.errors import UserError
from sola.files import refusals
from sola.types import Video

MAX_FRAME_PIXELS = 1 << 26
"""8192 x 8192, twice the pixels of 8K video: one frame takes 200 MB."""

Image.MAX_IMAGE_PIXELS = None  # ``check_pixels`` checks every image before it is decoded


def read_frame(path: Path) -> np.ndarray:
    """Return one frame, (H, W, 3) uint8 RGB.

    Raises:
        UserError: if the file is missing or not a readable image.
    """
    with open_image(path) as image:
        return np.array(image.convert("RGB"))


def frame_size(path: Path) -> tuple[int, int]:
    """Return (H, W) of a frame, from the header of its file.

    Raises:
        UserError: if the file is missing or not a readable image.
    """
    with open_image(path) as image:
        return image.height, image.width


@contextmanager
def open_image(path: Path) -> Iterator[Image.Image]:
    """Open an image file; any error while it is read becomes a one-line message.

    Raises:
        FileRefused: if the system refuses to read the file.
        UserError: if it is not a readable image, or has too many pixels.
    """
    try:
        with refusals(path), path.open("rb") as file, Image.open(file) as image:
            check_pixels(path, image.width, image.height)
            yield image
    except (OSError, SyntaxError, TypeError, ValueError) as error:  # includes damaged PNG and TIFF
        is_other = isinstance(error, UnidentifiedImageError)
        reason = "not an image of a known format" if is_other else error
        raise UserError(f"{path}: unreadable image ({reason}). Get it again.") from error


def check_pixels(path: Path, width: int, height: int) -> None:
    """Raise UserError if a frame has more than ``MAX_FRAME_PIXELS``."""
    if width * height > MAX_FRAME_PIXELS:
        raise UserError(
            f"{path}: frame of {width} x {height} px; at most {MAX_FRAME_PIXELS:,} pixels are "
            "supported. Scale it down."
        )


class VideoFrames(Sequence[np.ndarray]):
    """Sequence of a video's frames, (H, W, 3) uint8 RGB each, that threads decode in advance.

    It holds only the next few frames, in the direction in which the last two were read.
    """

    def __init__(self, video: Video, *, num_threads: int = 4, num_ahead: int = 8) -> None:
        """Prepare to read a video; nothing is read yet.

        Args:
            video: paths of the frames.
            num_threads: number of threads that decode.
            num_ahead: number of frames decoded in advance.
        """
        self.paths = video.frame_paths
        self._pool = ThreadPoolExecutor(num_threads)
        self._num_ahead = num_ahead
        self._pending: dict[int, Future[np.ndarray]] = {}
        self._last = -1
        self._shape: tuple[int, ...] | None = None

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, frame_idx: int) -> np.ndarray:  # type: ignore[override]  # no slices
        """Return a frame.

        Raises:
            IndexError: if the index is out of range.
            UserError: if the file is missing or unreadable, or the frame differs in size from the
                first one read.
        """
        if not 0 <= frame_idx < len(self):
            raise IndexError(frame_idx)
        step = -1 if frame_idx < self._last else 1
        self._last = frame_idx
        wanted = range(frame_idx, frame_idx + step * (self._num_ahead + 1), step)
        self._pending = {
            idx: self._pending.get(idx) or self._pool.submit(read_frame, self.paths[idx])
            for idx in wanted
            if 0 <= idx < len(self)
        }
        frame = self._pending[frame_idx].result()
        first = self._shape = self._shape or frame.shape
        if frame.shape != first:
            raise UserError(
                f"{self.paths[frame_idx]}: frame of {frame.shape[1]} x {frame.shape[0]} px, the "
                f"video's first has {first[1]} x {first[0]}; all frames must have one size. Get "
                "them again."
            )
        return frame
