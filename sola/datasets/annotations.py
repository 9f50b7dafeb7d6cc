"""Data sets with label maps: PNG masks in which a pixel's value is its object's id, or 0.

Layout: ``<root>/meta_expressions/<split>/meta_expressions.json``,
``<root>/<split>/JPEGImages/<video>/<frame>.jpg`` and, if ground truth is public,
``<root>/<split>/Annotations/<video>/<frame>.png``.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sola.datasets.frames import open_image
from sola.datasets.meta import MetaSplit
from sola.errors import UserError
from sola.files import sha256_of_file
from sola.masks import empty_masklet, encode, resize
from sola.types import Masklet, RunLength

ANNOTATIONS_DIR = "Annotations"
MIN_ANNOTATED = 0.5
"""Share of a video's frames that must be annotated for the annotations to count as ground truth.
Annotations of first frames only show a semi-supervised tracker where to start."""


def read_label_map(path: Path) -> NDArray[np.uint8]:
    """Return the object id of each pixel of a frame, (H, W) uint8.

    Raises:
        UserError: if the file is missing, unreadable, or in colour.
    """
    with open_image(path) as image:
        if image.mode not in ("P", "L"):
            raise UserError(
                f"{path}: image of mode {image.mode}, expected a palette of object ids. Get it "
                "again."
            )
        return np.array(image)


class LabelMapSplit(MetaSplit):
    """One split of a data set with label maps."""

    meta_files = ("meta_expressions/{split}/meta_expressions.json", "{split}/meta_expressions.json")
    object_key = "obj_id"

    @cached_property
    def has_masks(self) -> bool:
        """Whether the split has ground truth, judged by its first annotated video."""
        for video_id in self.videos:
            if self.annotations_dir(video_id).is_dir():
                paths = self.annotation_paths(video_id)
                return sum(path.is_file() for path in paths) >= MIN_ANNOTATED * len(paths)
        return False

    @cached_property
    def annotations_sha256(self) -> dict[str, str]:
        """SHA-256 of the expressions, and of the names and sizes of the annotations."""
        sha256 = {self.meta_path.name: sha256_of_file(self.meta_path)}
        if self.has_masks:
            digest = hashlib.sha256()
            for video_id in self.videos:
                for path in sorted(self.annotations_dir(video_id).glob("*")):
                    line = f"{video_id}/{path.name} {path.stat().st_size}\n"
                    digest.update(line.encode())
            sha256[f"{ANNOTATIONS_DIR} (names and sizes)"] = digest.hexdigest()
        return sha256

    def annotations_dir(self, video_id: str) -> Path:
        """Return the folder of a video's label maps."""
        return self.split_dir / ANNOTATIONS_DIR / video_id

    def annotation_paths(self, video_id: str) -> list[Path]:
        """Return the paths of the label maps of a video's frames."""
        folder = self.annotations_dir(video_id)
        return [folder / f"{path.stem}.png" for path in self.videos[video_id].frame_paths]

    def _check_object(self, object_id: str) -> None:
        if not (object_id.isascii() and object_id.isdigit() and 1 <= int(object_id) <= 255):
            raise UserError(f"object {object_id} is no value of a pixel, 1 to 255")

    def _masklets(
        self, video_id: str, ids: Iterable[str], size: tuple[int, int]
    ) -> dict[str, Masklet]:
        return join_frames(self._masks_by_frame(video_id, size), ids, size)

    def _masks_by_frame(self, video_id: str, size: tuple[int, int]) -> list[dict[int, RunLength]]:
        """Return the masks by label value on each frame, at (H, W) ``size``."""
        if not self.has_masks:
            raise UserError(
                f"{self.annotations_dir(video_id)}: not every frame is annotated, so split "
                f"{self.split} of {self.name} has no ground truth here."
            )
        return [_masks_of(read_label_map(path), size) for path in self.annotation_paths(video_id)]


def join_frames(
    by_frame: Sequence[Mapping[int, RunLength]], ids: Iterable[str], size: tuple[int, int]
) -> dict[str, Masklet]:
    """Return masklets by object id, from masks by label value on each frame.

    A frame without the object gets an empty mask.
    """
    empty = empty_masklet(1, size)[0]
    return {one: [masks.get(int(one), empty) for masks in by_frame] for one in ids}


def _masks_of(labels: NDArray[np.uint8], size: tuple[int, int]) -> dict[int, RunLength]:
    """Return the masks of all nonzero values of a label map, by value, at (H, W) ``size``."""
    values = np.flatnonzero(np.bincount(labels.reshape(-1), minlength=256)[1:]) + 1
    masks = [encode(labels[None] == value)[0] for value in values]
    return dict(zip(values.tolist(), resize(masks, size), strict=True))
