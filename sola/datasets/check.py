"""Check a data set (``sola check data``): list everything that is missing, broken or odd."""

import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from sola.config.console import progress
from sola.datasets import Dataset, Split
from sola.datasets.frames import open_image
from sola.datasets.meta import MetaSplit
from sola.datasets.split import Problem
from sola.errors import UserError
from sola.masks import areas
from sola.types import Video

DRAFT_PX = 64
"""JPEGs are decoded at about this size, which reads the whole file in a third of the time."""
Sizes = Mapping[str, tuple[int, int]]
"""(H, W) of the first readable frame, by video."""


@dataclass(frozen=True)
class SplitReport:
    """Content and problems of one split."""

    name: str
    """``<data set>/<split>``."""
    facts: tuple[str, ...]
    """Lines about the content; () for a split that cannot be opened."""
    problems: tuple[Problem, ...]

    @property
    def errors(self) -> list[Problem]:
        """Problems that would break a run."""
        return [problem for problem in self.problems if problem.is_error]

    def lines(self) -> Iterator[str]:
        """Yield the lines of the report."""
        yield self.name
        yield from (f"  {fact}" for fact in self.facts)
        for problem in sorted(self.problems, key=lambda problem: not problem.is_error):
            yield f"  {'error' if problem.is_error else 'warning':8} {problem}"
        num_errors = len(self.errors)
        yield f"  {num_errors} errors, {len(self.problems) - num_errors} warnings"


def print_check(dataset: Dataset, split: str | None, *, decode: bool, num_threads: int) -> None:
    """Print the report of each part of a data set; exit with status 1 if there are errors."""
    num_errors = 0
    for part in dataset.parts.values():
        for report in check_dataset(part, split, decode=decode, num_threads=num_threads):
            sys.stdout.write("\n".join([*report.lines(), "", ""]))
            num_errors += len(report.errors)
    if num_errors:
        sys.exit(1)


def check_dataset(
    dataset: Dataset, split: str | None, *, decode: bool = True, num_threads: int = 4
) -> Iterator[SplitReport]:
    """Check the splits of a data set, one after the other.

    Args:
        dataset: one data set.
        split: one of its splits; None: all splits on disk.
        decode: whether to decode every frame, as a run would, or to read only file headers.
        num_threads: number of files read at the same time.
    """
    for name in [split] if split else dataset.splits() or [dataset.train_split]:
        try:
            opened = dataset.open(name, keep_problems=True)
        except UserError as error:
            yield SplitReport(f"{dataset.name}/{name}", (), (_problem_of(error),))
        else:
            yield _check_split(opened, decode=decode, num_threads=num_threads)


def _check_split(split: Split, *, decode: bool, num_threads: int) -> SplitReport:
    problems = [*split.problems, *_check_expressions(split)]
    sizes: dict[str, tuple[int, int]] = {}
    name = f"{split.name}/{split.split}"
    with ThreadPoolExecutor(num_threads) as pool, progress(name, len(split.videos)) as advance:
        checked = pool.map(partial(_check_frames, decode=decode), split.videos.values())
        for video_id, (size, found) in zip(split.videos, checked, strict=True):
            problems += found
            sizes |= {video_id: size} if size else {}
            advance("")
        problems += _check_masks(split, sizes, pool)
    title, facts = f"{name}  ({split.split_dir})", tuple(_facts(split, sizes))
    return SplitReport(title, facts, tuple(dict.fromkeys(problems)))


def _check_expressions(split: Split) -> Iterator[Problem]:
    path = split.meta_path if isinstance(split, MetaSplit) else split.split_dir
    key = split.object_key if isinstance(split, MetaSplit) else "object_ids"
    unknown = [e for e in split.expressions if e.object_ids is None]
    if not split.expressions:
        yield Problem(path, "no expressions")
    elif unknown and split.has_masks:
        reason = (
            f'{len(unknown)} of {len(split.expressions)} expressions lack "{key}", the first is '
            f"{unknown[0].expression_id} of video {unknown[0].video_id}: they cannot be measured"
        )
        # if all expressions lack it, this is a hidden test split: a warning, as predict.py works
        yield Problem(path, reason, len(unknown) < len(split.expressions))


def _check_frames(video: Video, *, decode: bool) -> tuple[tuple[int, int] | None, list[Problem]]:
    """Return (H, W) of a video's first readable frame, and the problems of its frames."""
    folder = video.frame_paths[0].parent
    if not folder.is_dir():
        return None, [Problem(folder, f"no such folder: video {video.video_id} has no frames")]
    there = {path.stem: path.name for path in folder.iterdir()}
    sizes, problems = dict[Path, tuple[int, int]](), list[Problem]()
    for path in video.frame_paths:
        if not path.exists():
            other = there.get(path.stem)
            problems.append(Problem(path, f"frame missing{f', there is {other}' if other else ''}"))
            continue
        try:
            with open_image(path) as image:
                sizes[path] = image.height, image.width
                if decode:
                    image.draft("RGB", (DRAFT_PX, DRAFT_PX))
                    image.load()
        except UserError as error:
            problems.append(_problem_of(error))
    usual = Counter(sizes.values()).most_common(1)
    for path, size in sizes.items():
        if size != usual[0][0]:
            reason = f"frame of {_px(size)}, others of the video have {_px(usual[0][0])}"
            problems.append(Problem(path, f"{reason}; all frames must have one size"))
    return next(iter(sizes.values()), None), problems


def _check_masks(split: Split, sizes: Sizes, pool: ThreadPoolExecutor) -> list[Problem]:
    """Return problems of the ground truth of videos whose frames can be read."""
    try:
        if not split.has_masks or not split.annotations_sha256:  # it parses a mask_dict.json
            return []
    except (UserError, OSError) as error:
        return [_problem_of(error)]
    checked = pool.map(lambda item: list(_check_masklets(split, *item)), sizes.items())
    return [problem for problems in checked for problem in problems]


def _check_masklets(split: Split, video_id: str, size: tuple[int, int]) -> Iterator[Problem]:
    """Yield problems of the ground truth of a video."""
    try:
        masklets = split.ground_truth(video_id)
    except (UserError, OSError) as error:
        yield _problem_of(error)
        return
    num_frames = len(split.videos[video_id].frame_paths)
    for object_id in split.named_objects(video_id):
        masklet, where = masklets.get(object_id, []), f"object {object_id} of video {video_id}"
        sizes = {tuple(mask["size"]) for mask in masklet}
        if len(masklet) != num_frames or sizes != {size}:
            reason = f"{where}: expected {num_frames} masks of {_px(size)}, got {len(masklet)}"
            shown = ", ".join(f"{width} x {height} px" for height, width in sizes)
            yield Problem(split.split_dir, f"{reason} of {shown}" if shown else reason)
        elif not areas([masklet]).any():
            yield Problem(split.split_dir, f"{where}: never visible", is_error=False)


def _facts(split: Split, sizes: Sizes) -> Iterator[str]:
    ids = [expression.object_ids for expression in split.expressions]
    kinds = Counter("unknown" if of is None else _KINDS.get(len(set(of)), "several") for of in ids)
    meant = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common())
    num_objects = sum(map(len, map(split.named_objects, split.videos)))
    counts = [len(video.frame_paths) for video in split.videos.values()] or [0]
    shown = [f"{_px(size)} ({count} videos)" for size, count in Counter(sizes.values()).items()]
    yield f"videos       {len(split.videos)}"
    yield f"expressions  {len(ids)} (objects meant: {meant or '-'})"
    yield f"objects      {num_objects}, {'with' if split.has_masks else 'no'} ground truth"
    yield f"frames       {sum(counts)}; {min(counts)} to {max(counts)} a video"
    yield f"resolutions  {', '.join(shown) or '-'}"


_KINDS = {0: "none", 1: "single"}


def _px(size: tuple[int, int]) -> str:
    return f"{size[1]} x {size[0]} px"


def _problem_of(error: Exception) -> Problem:
    path, _, reason = str(error).partition(": ")
    return Problem(Path(path), reason)
