"""MeViS, and data sets in its layout, with masks as run-length codes.

Layout (Ding et al., "MeViS", 2023): ``<root>/<split>/JPEGImages/<video>/<frame>.jpg``,
``meta_expressions.json`` and, if ground truth is public, ``mask_dict.json``.
"""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

from sola.datasets.mask_dict import MaskDict
from sola.datasets.meta import MetaSplit, in_time
from sola.errors import UserError
from sola.files import is_there, sha256_of_file
from sola.masks import empty_masklet, resize
from sola.types import Masklet

META_FILE = "meta_expressions.json"
MASKS_FILE = "mask_dict.json"


class MeViS(MetaSplit):
    """A split of MeViS v1, or of another data set in its layout.

    An expression may refer to no object (its ``anno_id`` is empty).
    """

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
            root: folder that holds one folder per split.
            split: train, valid_u, valid or another folder of the same layout.
            name: label of the data set, for messages and results.
            cache_dir: folder that caches the index of mask_dict.json; None: every process that
                needs the file parses it.
            keep_problems: see ``MetaSplit``.

        Raises:
            UserError: if the split's expressions are missing, unreadable or broken.
        """
        super().__init__(root, split, name, keep_problems=keep_problems)
        index_path = None if cache_dir is None else Path(cache_dir) / split / f"{MASKS_FILE}.index"
        self.mask_dict = MaskDict(self.split_dir / MASKS_FILE, index_path)

    @property
    def has_masks(self) -> bool:
        """Whether the split has ground truth."""
        return is_there(self.mask_dict.path)

    @cached_property
    def annotations_sha256(self) -> dict[str, str]:
        """See ``Split.annotations_sha256``."""
        sha256 = {self.meta_path.name: sha256_of_file(self.meta_path)}
        return sha256 | ({MASKS_FILE: self.mask_dict.sha256} if self.has_masks else {})

    def _masklets(
        self, video_id: str, ids: Sequence[str], size: tuple[int, int]
    ) -> dict[str, Masklet]:
        path, frames = self.mask_dict.path, self.listed_frames[video_id]
        if not self.has_masks:
            raise UserError(
                f"{path}: not found, so split {self.split} of {self.name} has no ground truth here."
            )
        masks, empty = self.mask_dict.read(ids), empty_masklet(1, size)[0]
        found: dict[str, Masklet] = {}
        for object_id in ids:
            num_masks = len(masks.get(object_id, ()))
            if num_masks != len(frames):
                raise UserError(
                    f"{path}: object {object_id} has {num_masks} masks, its video {video_id} has "
                    f"{len(frames)} frames. Get the file of {self.meta_path}."
                )
            of_frame = dict(zip(frames, masks[object_id], strict=True))
            found[object_id] = resize([of_frame[f] or empty for f in in_time(frames)], size)
        return found


class MeViSv2(MeViS):
    """A split of MeViS v2: the videos of v1 with more expressions, some without a target."""

    protocol = "mevis_v2"
    meta_files = ("{split}/meta_expressions_v2.json", "{split}/meta_expressions_v2_release.json")
