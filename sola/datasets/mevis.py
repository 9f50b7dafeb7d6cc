"""Reads MeViS, and what is laid out like it: frames, expressions, masks as run-length codes.

Layout (Ding et al., "MeViS", 2023): ``<root>/<split>/JPEGImages/<video>/<frame>.jpg``,
``meta_expressions.json`` and, where ground truth is public, ``mask_dict.json``.
"""

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import ClassVar

from sola.datasets.mask_dict import MaskDict
from sola.datasets.meta import in_time
from sola.datasets.meta_split import FRAMES_DIR, MetaSplit
from sola.errors import UserError
from sola.files import is_there, sha256_of_file
from sola.masks import empty_masklet, resize
from sola.types import Masklet, RunLength

META_FILE = "meta_expressions.json"
MASKS_FILE = "mask_dict.json"

__all__ = ["FRAMES_DIR", "MASKS_FILE", "META_FILE", "MeViS", "MeViSv2"]


class MeViS(MetaSplit):
    """A split of MeViS v1, or of another data set in its layout.

    Objects that no expression means (``anno_id`` is empty) are an answer too: none.
    """

    folders: ClassVar[tuple[str, ...]] = ("mevis", "MeViS", "MeViS_release")
    meta_files = (f"{{split}}/{META_FILE}", "{split}/meta_expressions_release.json")
    object_key = "anno_id"

    def __init__(
        self,
        root: Path,
        split: str,
        name: str = "mevis",
        *,
        cache_dir: Path | str | None = None,
        keep_problems: bool = False,
    ) -> None:
        """Read the split's expressions.

        Args:
            root: folder that holds one folder a split.
            split: train, valid_u, valid or another folder of the same layout.
            name: label of the data set, for messages and results.
            cache_dir: keeps what was found out about mask_dict.json; None: nothing is kept, and
                the file is parsed by every process that needs it.
            keep_problems: see ``MetaSplit``.

        Raises:
            UserError: if the split's expressions are missing, unreadable or broken.
        """
        super().__init__(root, split, name, keep_problems=keep_problems)
        index_path = None if cache_dir is None else Path(cache_dir) / split / f"{MASKS_FILE}.index"
        self.mask_dict = MaskDict(self.split_dir / MASKS_FILE, index_path)

    @property
    def has_masks(self) -> bool:
        """Whether the split's ground truth is here."""
        return is_there(self.mask_dict.path)

    @cached_property
    def annotations_sha256(self) -> dict[str, str]:
        """SHA-256 of the files that say what the split holds, by name."""
        sha256 = {self.meta_path.name: sha256_of_file(self.meta_path)}
        return sha256 | ({MASKS_FILE: self.mask_dict.sha256} if self.has_masks else {})

    def listed_frames(self, video_id: str) -> list[str]:
        """Frames of a video in the order in which its masks are listed."""
        return list(self._meta[video_id]["frames"])

    def _masklets(
        self, video_id: str, ids: Sequence[str], size: tuple[int, int]
    ) -> dict[str, Masklet]:
        if not self.has_masks:
            raise UserError(
                f"{self.mask_dict.path}: not found. The split {self.split} of {self.name} has no "
                f"ground truth here; put the file there, or choose a split that has it."
            )
        masks = self.mask_dict.read(ids)
        frames, empty = self.listed_frames(video_id), empty_masklet(1, size)[0]
        found: dict[str, Masklet] = {}
        for object_id in ids:
            self._check_number(video_id, object_id, masks)
            of_frame = dict(zip(frames, masks[object_id], strict=True))
            codes = [of_frame[frame] or empty for frame in in_time(frames)]
            found[object_id] = resize(codes, size)
        return found

    def _check_number(
        self, video_id: str, object_id: str, masks: Mapping[str, list[RunLength | None]]
    ) -> None:
        """As many masks as frames, or it is not known which belongs where."""
        path, num_frames = self.mask_dict.path, len(self.listed_frames(video_id))
        if object_id not in masks:
            raise UserError(
                f"{path}: no masks of object {object_id}, which an expression of video "
                f"{video_id} names. Get the file that belongs to {self.meta_path}."
            )
        if len(masks[object_id]) != num_frames:
            raise UserError(
                f"{path}: object {object_id} has {len(masks[object_id])} masks, its video "
                f"{video_id} {num_frames} frames; they must be as many. Get the file again."
            )


class MeViSv2(MeViS):
    """A split of MeViS v2: the videos of v1 with more expressions, some of which mean nothing."""

    protocol = "mevis_v2"
    folders = ("mevis_v2", "MeViS_v2", "MeViSv2", *MeViS.folders)
    meta_files = (
        "{split}/meta_expressions_v2.json",
        "{split}/meta_expressions_v2_release.json",
    )
