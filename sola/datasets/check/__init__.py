"""Looks through a data set for everything that is wrong with it."""

from collections import Counter
from collections.abc import Iterator

from sola.config.progress import progress
from sola.datasets import Dataset, MeViS, Split
from sola.datasets.check.frames import FoundFrames, check_frames
from sola.datasets.check.label_maps import check_label_maps
from sola.datasets.check.mask_dict import check_mask_dict
from sola.datasets.check.masklets import check_masklets
from sola.datasets.check.report import SplitReport
from sola.datasets.label_maps import LabelMapSplit
from sola.datasets.meta_split import FRAMES_DIR, MetaSplit
from sola.datasets.problems import Problem
from sola.errors import UserError


def check_dataset(
    dataset: Dataset, split: str | None, *, decode: bool = True, num_threads: int = 4
) -> Iterator[SplitReport]:
    """What is there of a data set, and what is wrong, one split after the other.

    Args:
        dataset: one data set.
        split: one of its splits; None: every one that is there.
        decode: decode every frame, as a run would; otherwise the heads of the files are read.
        num_threads: read at the same time.
    """
    names = [split] if split else dataset.splits()
    for name in names or [dataset.train_split]:  # where there is none, opening one says so
        try:
            opened = dataset.open(name, keep_problems=True)
        except UserError as error:
            yield SplitReport.of_broken(dataset.name, name, str(error))
        else:
            yield check_split(opened, decode=decode, num_threads=num_threads)


def check_split(split: Split, *, decode: bool, num_threads: int) -> SplitReport:
    """What is there of a split, and what is wrong; see ``check_dataset``."""
    with progress(f"{split.name}/{split.split}", len(split.videos)) as advance:
        frames = check_frames(
            split.videos.values(),
            decode=decode,
            num_threads=num_threads,
            are_alone=isinstance(split, MetaSplit),  # other layouts say nothing of their folders
            on_video=advance,
        )
    problems = [*split.problems, *_check_expressions(split)]
    problems += _check_folders(split) if isinstance(split, MetaSplit) else []
    problems += [problem for found in frames.values() for problem in found.problems]
    problems += _check_masks(split, frames, num_threads)
    return SplitReport.of(split, frames, problems)


def _check_masks(
    split: Split, frames: dict[str, FoundFrames], num_threads: int
) -> Iterator[Problem]:
    sizes = {video_id: found.size for video_id, found in frames.items() if found.size}
    if isinstance(split, MeViS):
        yield from check_mask_dict(split, sizes)
    elif isinstance(split, LabelMapSplit):
        yield from check_label_maps(split, sizes, num_threads)
    elif split.has_masks:
        for video_id in split.videos:
            yield from check_masklets(split, video_id, sizes.get(video_id))


def _check_expressions(split: Split) -> Iterator[Problem]:
    path = split.meta_path if isinstance(split, MetaSplit) else split.split_dir
    key = split.object_key if isinstance(split, MetaSplit) else "object_ids"
    if not split.expressions:
        yield Problem(path, "no expressions")
        return
    unknown = [e for e in split.expressions if e.object_ids is None]
    if not unknown or not split.has_masks:
        return
    reason = (
        f'{len(unknown)} of {len(split.expressions)} expressions lack "{key}", the '
        f"first is {unknown[0].expression_id} of video {unknown[0].video_id}: nothing can be "
        "measured with the masks that are there"
    )
    # where all of them do, the file is one of a hidden test split, and answers can be given
    yield Problem(path, reason, len(unknown) < len(split.expressions))


def _check_folders(split: MetaSplit) -> Iterator[Problem]:
    """Videos on disk that the expressions do not know, and two that are one elsewhere."""
    folder = split.split_dir / FRAMES_DIR
    there = {path.name for path in folder.iterdir()} if folder.is_dir() else set[str]()
    unknown = sorted(there - set(split.listed_videos))
    if unknown:
        yield Problem(
            folder, f"{len(unknown)} videos without expressions, such as {unknown[0]}", False
        )
    for name, count in Counter(name.lower() for name in there).items():
        if count > 1:
            yield Problem(folder, f"{count} folders differ only in case: {name}", False)
