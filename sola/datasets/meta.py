"""Read meta_expressions.json, which all benchmarks use for videos, frames and expressions.

``{"videos": {video: {"frames": [name, ...], "expressions": {id: {"exp": str, ...}}}}}``; if ground
truth is public, an expression also names its objects, under a key that depends on the layout.
"""

import json
from abc import abstractmethod
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

from sola.datasets.frames import frame_size
from sola.datasets.split import Problem, Split
from sola.errors import UserError
from sola.files import refusals, unsafe_name
from sola.types import Expression, Masklet, Video

FRAMES_DIR = "JPEGImages"


class MetaSplit(Split):
    """One split described by meta_expressions.json; opening it reads only the expressions."""

    meta_files: ClassVar[tuple[str, ...]]
    """Paths of the expressions below the root; the first that exists is read."""
    object_key: ClassVar[str]
    """Key of an expression that lists its objects."""
    problems: list[Problem]

    def __init__(self, root: Path, split: str, name: str, *, keep_problems: bool = False) -> None:
        """Read the split's expressions.

        Args:
            root: folder of the data set.
            split: name of the split.
            name: label of the data set, for messages and results.
            keep_problems: whether to collect errors in ``problems`` and skip videos and expressions
                that cannot be read, instead of raising.

        Raises:
            UserError: if the split's expressions are missing, unreadable or broken.
        """
        self.name, self.split = name, split
        self.root, self.meta_path = root, self._find_expressions(root, split)
        self.split_dir, self.problems = root / split, []
        self.listed_frames: dict[str, list[str]] = {}
        """Frames of each video, in the order in which the file lists its masks."""
        self.videos, self.expressions = {}, []
        listed = read_meta(self.meta_path)
        for video_id in self._videos_of_split(listed):
            with self._collect(f"video {shorten(video_id)}"):
                self._read_video(video_id, listed[video_id])
        if not listed:
            self.problems.append(Problem(self.meta_path, "lists no videos"))
        if self.problems and not keep_problems:
            more = f" ({len(self.problems) - 1} more errors)" if self.problems[1:] else ""
            raise UserError(f"{self.problems[0]}{more}. To list all: sola check data dataset=...")

    @classmethod
    def splits(cls, root: Path) -> list[str]:
        """Return the names of the splits on disk."""
        found = set[str]()
        for pattern in cls.meta_files:
            depth = pattern.split("/").index("{split}")
            paths = root.glob(pattern.format(split="*"))
            found |= {path.relative_to(root).parts[depth] for path in paths}
        return sorted(name for name in found if not name.startswith("."))

    def ground_truth(self, video_id: str) -> dict[str, Masklet]:
        """See ``Split.ground_truth``."""
        ids = self.named_objects(video_id)
        return self._masklets(video_id, ids, self.frame_size(video_id)) if ids else {}

    def frames_dir(self, video_id: str) -> Path:
        """Return the folder of a video's frames."""
        return self.split_dir / FRAMES_DIR / video_id

    def frame_size(self, video_id: str) -> tuple[int, int]:
        """Return (H, W) of a video's first frame."""
        return frame_size(self.videos[video_id].frame_paths[0])

    @abstractmethod
    def _masklets(
        self, video_id: str, ids: Sequence[str], size: tuple[int, int]
    ) -> dict[str, Masklet]:
        """Return the masklets of some objects of a video, at (H, W) ``size``."""

    def _videos_of_split(self, listed: Collection[str]) -> list[str]:
        """Return the listed videos that belong to the split."""
        return list(listed)

    def _check_object(self, object_id: str) -> None:
        """Raise UserError if an object cannot have this id."""

    @classmethod
    def _find_expressions(cls, root: Path, split: str) -> Path:
        if unsafe_name(split):
            raise UserError(f"split={split}: {unsafe_name(split)}.")
        looked_for = [root / pattern.format(split=split) for pattern in cls.meta_files]
        for path in looked_for:
            if path.is_file():
                return path
        others = "".join(f", nor {path}" for path in looked_for[1:])
        raise UserError(
            f"{looked_for[0]}: not found{others}. Splits on disk: "
            f"{', '.join(cls.splits(root)) or 'none'}. Check data_root, dataset.root and split; "
            "data/README.md shows the layout."
        )

    @contextmanager
    def _collect(self, where: str) -> Iterator[None]:
        """Add a UserError to the problems, so that reading continues after the block."""
        try:
            yield
        except UserError as error:
            self.problems.append(Problem(self.meta_path, f"{where}: {error}"))

    def _read_video(self, video_id: str, meta: Any) -> None:
        _check_name(video_id)
        frames = meta.get("frames") if isinstance(meta, dict) else None
        expressions = meta.get("expressions") if isinstance(meta, dict) else None
        if not isinstance(frames, list) or not frames or not isinstance(expressions, dict):
            raise UserError(f"needs frames (a list of names) and expressions, got {shorten(meta)}")
        for frame in frames:
            _check_name(frame, "frame ")
        if len(set(frames)) < len(frames):
            raise UserError(f"frame {max(frames, key=frames.count)} is listed twice")
        self.listed_frames[video_id] = frames
        folder = self.frames_dir(video_id)
        paths = tuple(folder / f"{frame}.jpg" for frame in in_time(frames))
        self.videos[video_id] = Video(video_id, paths)
        for expression_id, entry in expressions.items():
            with self._collect(f"video {video_id}: expression {shorten(expression_id)}"):
                self.expressions.append(self._read_expression(video_id, expression_id, entry))

    def _read_expression(self, video_id: str, expression_id: str, entry: Any) -> Expression:
        _check_name(expression_id)
        if not isinstance(entry, dict) or not isinstance(entry.get("exp"), str):
            raise UserError(f'expected an object with a text as "exp", got {shorten(entry)}')
        ids = entry.get(self.object_key)
        if ids is not None:
            ids = ids if isinstance(ids, list) else [ids]
            if any(type(one) not in (int, str) for one in ids):
                raise UserError(f"{self.object_key} must be ids of objects, got {shorten(ids)}")
            for one in ids:
                self._check_object(str(one))
        return Expression(
            video_id=video_id,
            expression_id=expression_id,
            text=entry["exp"],
            object_ids=None if ids is None else tuple(map(str, ids)),
            kind=str(entry.get("kind", "")),
        )


def read_meta(path: Path) -> dict[str, Any]:
    """Return the unchecked videos of a meta_expressions.json by id.

    Raises:
        UserError: if the file is not JSON, has a duplicate key, or has no "videos".
    """
    content = read_annotations(path)
    videos = content.get("videos") if isinstance(content, dict) else None
    if not isinstance(videos, dict):
        raise UserError(f'{path}: no "videos", expected {{"videos": {{id: ...}}}}. Get it again.')
    return videos


def read_annotations(path: Path) -> Any:
    """Return the content of a data set's JSON file.

    Raises:
        UserError: if the file is not JSON, or has a duplicate key.
    """
    with refusals(path):
        content = path.read_bytes()
    try:
        return json.loads(content.decode("utf-8-sig"), object_pairs_hook=_without_repeats)
    except (ValueError, RecursionError) as error:  # invalid JSON, encoding or huge numbers
        raise UserError(f"{path}: not readable as JSON ({error}). Get the file again.") from error


def in_time(frames: Iterable[str]) -> list[str]:
    """Sort names of frames in the order of time: 9 comes before 10."""
    return sorted(frames, key=lambda name: (len(name), name))


def shorten(value: object, length: int = 60) -> str:
    """Return a value from a file, printable and short enough for a message."""
    text = value if isinstance(value, str) and value.isprintable() else repr(value)
    return text if len(text) <= length else f"{text[:length]}..."


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) < len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"{shorten(max(keys, key=keys.count))} is there twice")
    return content


def _check_name(name: object, kind: str = "") -> None:
    if unsafe_name(name):
        where = f"{kind}{shorten(name)}: " if kind else ""
        raise UserError(f"{where}the name {unsafe_name(name)}")
