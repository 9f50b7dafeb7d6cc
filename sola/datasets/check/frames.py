"""Checks the frames of videos: all there, whole, of one size."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from sola.datasets.frames import open_image
from sola.datasets.problems import Problem
from sola.errors import UserError
from sola.types import Video

DRAFT_PX = 64
"""A JPEG is decoded to about this size: all of the file is read, in a third of the time."""


@dataclass(frozen=True)
class FoundFrames:
    """The frames of one video."""

    size: tuple[int, int] | None
    """(H, W) of its first readable frame; None where there is none."""
    problems: tuple[Problem, ...]


def check_frames(
    videos: Iterable[Video],
    *,
    decode: bool,
    num_threads: int,
    are_alone: bool = True,
    on_video: Callable[[str], None] = lambda note: None,
) -> dict[str, FoundFrames]:
    """The frames of videos, by id.

    Args:
        videos: which.
        decode: decode every frame; otherwise the heads of the files are read.
        num_threads: videos looked at together.
        are_alone: nothing else lies in a video's folder, or it is told.
        on_video: called after each.
    """
    found: dict[str, FoundFrames] = {}
    videos = list(videos)
    with ThreadPoolExecutor(num_threads) as pool:
        results = pool.map(partial(_check_video, decode=decode, are_alone=are_alone), videos)
        for video, result in zip(videos, results, strict=True):
            found[video.video_id] = result
            on_video("")
    return found


def _check_video(video: Video, *, decode: bool, are_alone: bool) -> FoundFrames:
    folder = video.frame_paths[0].parent
    if not folder.is_dir():
        reason = f"no such folder: video {video.video_id} has no frames"
        return FoundFrames(None, (Problem(folder, reason),))
    there = {path.name for path in folder.iterdir()}
    problems = list(_check_names(video, there))
    problems += _check_others(video, there) if are_alone else []
    sizes: dict[Path, tuple[int, int]] = {}
    for path in video.frame_paths:
        if path.name in there:
            try:
                sizes[path] = _read_size(path, decode=decode)
            except UserError as error:
                problems.append(Problem(path, str(error).removeprefix(f"{path}: ")))
    first = next(iter(sizes.values()), None)
    problems += _check_sizes(sizes)
    return FoundFrames(first, tuple(problems))


def _check_names(video: Video, there: set[str]) -> Iterator[Problem]:
    by_lower = {name.lower(): name for name in there}
    by_stem = {Path(name).stem: name for name in there}
    for path in video.frame_paths:
        if path.name not in there:
            other = by_lower.get(path.name.lower()) or by_stem.get(path.stem)
            yield Problem(path, f"frame missing{f', there is {other}' if other else ''}")


def _check_others(video: Video, there: set[str]) -> Iterator[Problem]:
    extra = there - {path.name for path in video.frame_paths}
    if extra:
        reason = (
            f"{len(extra)} files that are no frames of the expressions' file, such as "
            f"{min(extra)}; it lists {len(video.frame_paths)}"
        )
        yield Problem(video.frame_paths[0].parent, reason, is_error=False)


def _read_size(path: Path, *, decode: bool) -> tuple[int, int]:
    with open_image(path) as image:
        size = (image.height, image.width)
        if decode:
            image.draft("RGB", (DRAFT_PX, DRAFT_PX))
            image.load()
    return size


def _check_sizes(sizes: dict[Path, tuple[int, int]]) -> Iterator[Problem]:
    """Frames that do not have the size that most of the video's have."""
    if not sizes:
        return
    (height, width), _ = Counter(sizes.values()).most_common(1)[0]
    for path, size in sizes.items():
        if size != (height, width):
            yield Problem(
                path,
                f"frame of {size[1]} x {size[0]} px, others of the video have {width} x {height}; "
                "all frames must have one size",
            )
