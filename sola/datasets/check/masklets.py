"""Checks ground truth as a run reads it, whatever its files are."""

from collections.abc import Iterator

from sola.datasets.problems import Problem
from sola.datasets.split import Split
from sola.errors import UserError
from sola.masks import areas


def check_masklets(split: Split, video_id: str, size: tuple[int, int] | None) -> Iterator[Problem]:
    """What is wrong with the ground truth of a video.

    Args:
        split: with ground truth.
        video_id: one of its videos.
        size: (H, W) of the frames; None: unknown.
    """
    num_frames = len(split.videos[video_id].frame_paths)
    try:
        masklets = split.ground_truth(video_id)
    except (UserError, OSError) as error:
        yield Problem(split.split_dir, f"video {video_id}: {error}")
        return
    for object_id in split.named_objects(video_id):
        where = f"object {object_id} of video {video_id}"
        masklet = masklets.get(object_id)
        if masklet is None:
            yield Problem(split.split_dir, f"{where}: an expression names it, it has no masks")
        elif len(masklet) != num_frames:
            reason = f"{where}: {len(masklet)} masks, the video has {num_frames} frames"
            yield Problem(split.split_dir, reason)
        elif size and {tuple(mask["size"]) for mask in masklet} != {size}:
            reason = f"{where}: a mask is not of the frames' (height, width) {size}"
            yield Problem(split.split_dir, reason)
        elif not areas([masklet]).any():
            yield Problem(split.split_dir, f"{where}: never visible", is_error=False)
