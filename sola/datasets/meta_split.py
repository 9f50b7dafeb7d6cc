"""What all benchmarks share: a meta_expressions.json that lists videos, frames and expressions."""

import hashlib
from abc import abstractmethod
from collections.abc import Collection, Container, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from sola.datasets.frames import frame_size
from sola.datasets.meta import (
    NO_EXPRESSIONS,
    find_problems,
    in_time,
    object_ids,
    read_meta,
)
from sola.datasets.problems import Problem, raise_first
from sola.datasets.split import Split
from sola.errors import UserError
from sola.files import unsafe_name
from sola.types import Expression, Masklet, Video

FRAMES_DIR = "JPEGImages"


class MetaSplit(Split):
    """One split, read lazily: nothing but the expressions is loaded before it is asked for."""

    folders: ClassVar[tuple[str, ...]]
    """Names of the data set's folder; where it has one of them, the others are tried too."""
    meta_files: ClassVar[tuple[str, ...]]
    """Paths of the expressions below that folder, the first that is there counts."""
    object_key: ClassVar[str]
    """Names the objects in an expression."""
    problems: list[Problem]

    def __init__(self, root: Path, split: str, name: str, *, keep_problems: bool = False) -> None:
        """Read the split's expressions.

        Args:
            root: folder of the data set.
            split: a split that is there.
            name: label of the data set, for messages and results.
            keep_problems: what is wrong goes to ``problems``, and videos and expressions that
                cannot be read are left out; otherwise errors are refused.

        Raises:
            UserError: if the split's expressions are missing, unreadable or broken.
        """
        self.name, self.split = name, split
        self.root, self.meta_path = self._find(root, split)
        self.split_dir = self.root / split
        listed = read_meta(self.meta_path)
        self.listed_videos = tuple(listed)
        findings = list(find_problems(listed, self.object_key, self.object_problem))
        self.problems = [Problem(self.meta_path, f.reason, f.is_error) for f in findings]
        lost = {(f.video_id, f.expression_id) for f in findings if f.is_lost}
        chosen = self._videos_of_split(listed)
        broken = {f.video_id for f in findings if f.is_error and f.video_id is not None}
        self.broken_videos = broken.intersection(chosen)
        self._meta = {
            video_id: _readable(listed[video_id], video_id, lost)
            for video_id in chosen
            if (video_id, None) not in lost
        }
        self.num_lost_videos = len(chosen) - len(self._meta)
        if not keep_problems:
            raise_first(self.problems)

    @classmethod
    def splits(cls, root: Path) -> list[str]:
        """The splits that are there."""
        found = set[str]()
        for folder in cls._roots(root):
            for pattern in cls.meta_files:
                depth = pattern.split("/").index("{split}")
                paths = folder.glob(pattern.format(split="*"))
                found |= {path.relative_to(folder).parts[depth] for path in paths}
        return sorted(name for name in found if not name.startswith("."))

    @cached_property
    def videos(self) -> dict[str, Video]:
        """See ``Split.videos``."""
        return {video_id: self._video(video_id) for video_id in self._meta}

    @cached_property
    def expressions(self) -> list[Expression]:
        """See ``Split.expressions``."""
        return [
            self._expression(video_id, expression_id, entry)
            for video_id, meta in self._meta.items()
            for expression_id, entry in meta["expressions"].items()
        ]

    def ground_truth(self, video_id: str) -> dict[str, Masklet]:
        """See ``Split.ground_truth``."""
        ids = self.named_objects(video_id)
        if not ids:
            return {}
        return self._masklets(video_id, ids, frame_size(self.videos[video_id].frame_paths[0]))

    def named_objects(self, video_id: str) -> list[str]:
        """Objects of a video that some expression names, each once."""
        entries = self._meta[video_id]["expressions"].values()
        ids = (object_ids(entry, self.object_key) for entry in entries)
        return list(dict.fromkeys(object_id for of_entry in ids for object_id in of_entry or ()))

    def frames_dir(self, video_id: str) -> Path:
        """Folder of a video's frames."""
        return self.split_dir / FRAMES_DIR / video_id

    @classmethod
    def object_problem(cls, object_id: str) -> str:
        """Why there cannot be an object of this id; "" if there can."""
        return ""

    @abstractmethod
    def _masklets(
        self, video_id: str, ids: Sequence[str], size: tuple[int, int]
    ) -> dict[str, Masklet]:
        """Masklets of some objects of a video, for frames of (H, W) ``size``."""

    def _videos_of_split(self, listed: Collection[str]) -> list[str]:
        """Those of the listed videos that belong to the split."""
        return list(listed)

    @classmethod
    def _find(cls, root: Path, split: str) -> tuple[Path, Path]:
        """The folder of the data set and the file with the expressions."""
        if unsafe_name(split):
            raise UserError(f"split={split}: {unsafe_name(split)}.")
        looked_for = [
            (folder, folder / pattern.format(split=split))
            for folder in cls._roots(root)
            for pattern in cls.meta_files
        ]
        for folder, path in looked_for:
            if path.is_file():
                return folder, path
        first, *others = [str(path) for _, path in looked_for]
        there = ", ".join(cls.splits(root)) or "none"
        raise UserError(
            f"{first}: not found{''.join(f', nor {path}' for path in others)}. Splits that are "
            f"there: {there}. data/README.md shows what lies where; check data_root, "
            "dataset.root and split."
        )

    @classmethod
    def _roots(cls, root: Path) -> list[Path]:
        """The folder and, if it has one of the names in use, its siblings with the others."""
        names = cls.folders if root.name in cls.folders else ()
        return [root, *(root.with_name(name) for name in names if name != root.name)]

    def _video(self, video_id: str) -> Video:
        folder = self.frames_dir(video_id)
        return Video(
            video_id,
            tuple(folder / f"{frame}.jpg" for frame in in_time(self._meta[video_id]["frames"])),
        )

    def _expression(self, video_id: str, expression_id: str, entry: dict[str, Any]) -> Expression:
        return Expression(
            video_id=video_id,
            expression_id=expression_id,
            text=entry["exp"],
            object_ids=object_ids(entry, self.object_key),
            kind=str(entry.get("kind", "")),
        )


def _readable(meta: dict[str, Any], video_id: str, lost: Container[Any]) -> dict[str, Any]:
    """A video without the expressions that cannot be read."""
    if (video_id, NO_EXPRESSIONS) in lost:
        return meta | {"expressions": {}}
    expressions = meta["expressions"].items()
    return meta | {"expressions": {i: e for i, e in expressions if (video_id, i) not in lost}}


def sha256_of_lines(lines: Iterator[str]) -> str:
    """SHA-256 of lines of text."""
    digest = hashlib.sha256()
    for line in lines:
        digest.update(line.encode() + b"\n")
    return digest.hexdigest()
