"""Checks annotations in PNG files against the expressions and frames that they belong to."""

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from sola.datasets.label_maps import ANNOTATIONS_DIR, LabelMapSplit, read_label_map
from sola.datasets.problems import Problem
from sola.errors import UserError
from sola.types import Video


def check_label_maps(
    split: LabelMapSplit, sizes: Mapping[str, tuple[int, int]], num_threads: int
) -> Iterator[Problem]:
    """What is wrong with a split's annotations; nothing where there are none.

    Args:
        split: the split.
        sizes: (H, W) of the frames, by video.
        num_threads: videos looked at together.
    """
    folder = split.split_dir / ANNOTATIONS_DIR
    if not folder.is_dir():
        return
    if not split.has_masks:
        yield Problem(
            folder,
            f"annotations of {split.annotated_share:.0%} of the frames of the first video: they "
            "are taken for the first frames of given objects, not for ground truth",
            is_error=False,
        )
        return

    def check(video: Video) -> list[Problem]:
        return list(_check_video(split, video, sizes.get(video.video_id)))

    with ThreadPoolExecutor(num_threads) as pool:
        for problems in pool.map(check, split.videos.values()):
            yield from problems


def _check_video(
    split: LabelMapSplit, video: Video, size: tuple[int, int] | None
) -> Iterator[Problem]:
    folder = split.annotations_dir(video.video_id)
    if not folder.is_dir():
        if split.named_objects(video.video_id):
            yield Problem(folder, f"no such folder: video {video.video_id} has no annotations")
        return
    values, others = set[int](), list[Path]()
    for frame_path in video.frame_paths:
        path = split.annotation_path(frame_path)
        if not path.is_file():
            yield Problem(path, "annotation missing")
            continue
        try:
            labels = read_label_map(path)
        except UserError as error:
            yield Problem(path, str(error).removeprefix(f"{path}: "))
            continue
        values |= set(np.unique(labels).tolist())
        if size and labels.shape != size:
            others.append(path)
    if others and size:
        reason = f"of another size than the frame, {size[1]} x {size[0]} px; it is resized"
        yield Problem(others[0], f"{reason} ({len(others)} such files of the video)", False)
    for object_id in split.named_objects(video.video_id):
        if int(object_id) not in values:
            reason = f"object {object_id} of video {video.video_id}: never visible"
            yield Problem(folder, reason, is_error=False)
