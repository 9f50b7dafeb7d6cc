"""Frames of a folder of images, as RGB in the way up that they are shown."""

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from sola.datasets.frames import open_image
from sola.errors import UserError
from sola.prediction.clip.frame import ClipFrame

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff")
FPS = 10
"""Images say no times; this is how fast an overlay video shows them."""
DEEP_GREY = {"I;16", "I;16L", "I;16B", "I;16N"}
"""Pillow's modes of 16-bit grey, which it would clip at 255."""
UNSCALED = {"I", "F"}
"""Pillow's modes of 32-bit pixels: nothing says what is white."""


def find_images(folder: Path) -> list[Path]:
    """The images of a folder in natural order (2 before 10); hidden files are none.

    Raises:
        UserError: if there are none.
    """
    found = [path for path in folder.iterdir() if is_image(path) and path.name[0] != "."]
    if not found:
        raise UserError(
            f"{folder}: no images in this folder; needed is one a frame ({', '.join(SUFFIXES)}). "
            "Say video=<folder of images> or video=<video file>."
        )
    return sorted(found, key=natural_order)


def is_image(path: Path) -> bool:
    """Whether a path is a file with an image's name."""
    return path.suffix.lower() in SUFFIXES and path.is_file()


def natural_order(path: Path) -> tuple[list[tuple[int, str]], str]:
    """Sorts names as people do: numbers by their value."""
    parts = re.split(r"(\d+)", path.name.lower())
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts], path.name


def read_images(paths: list[Path]) -> Iterator[ClipFrame]:
    """Frames of a clip, one at a time.

    Raises:
        UserError: if an image is unreadable, too large, or of another size than the first.
    """
    first: tuple[int, int] | None = None
    for idx, path in enumerate(paths):
        pixels = read_upright(path)
        first = first or pixels.shape[:2]
        if pixels.shape[:2] != first:
            raise UserError(
                f"{path}: image of {pixels.shape[1]} x {pixels.shape[0]} px, the first one, "
                f"{paths[0].name}, has {first[1]} x {first[0]}; all frames of a clip must have one "
                "size. Take the image out, or bring all to one size."
            )
        yield ClipFrame(pixels, idx / FPS, (idx + 1) / FPS, path.name)


def read_upright(path: Path) -> np.ndarray:
    """An image as a viewer shows it: (H, W, 3) uint8 RGB.

    Turned as its EXIF says, 16 bits brought to 8, transparent parts on white.

    Raises:
        UserError: if it is no readable image, too large, or has pixels of unknown range.
    """
    with open_image(path) as image:
        _check_kind(path, image)
        return to_rgb(ImageOps.exif_transpose(image))


def to_rgb(image: Image.Image) -> np.ndarray:
    """(H, W, 3) uint8 RGB of an image of any kind; transparent parts on white."""
    if image.mode in DEEP_GREY:
        grey = np.rint(np.asarray(image).astype(np.float64) / 257).astype(np.uint8)
        return np.repeat(grey[..., None], 3, axis=2)
    if image.has_transparency_data:
        paper = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(paper, image.convert("RGBA"))
    return np.array(image.convert("RGB"))


def _check_kind(path: Path, image: Image.Image) -> None:
    if image.mode in UNSCALED:
        raise UserError(
            f"{path}: 32 bits a pixel (mode {image.mode}), of which nothing says what is white; "
            "needed are 8 or 16. Save it as 8-bit PNG."
        )
    num_images = getattr(image, "n_frames", 1)
    if num_images > 1 and image.format != "MPO":  # a phone's JPEG with a preview inside
        raise UserError(
            f"{path}: holds {num_images} images; needed is one a file. Make a video or an "
            "animated GIF of it, and name that."
        )
