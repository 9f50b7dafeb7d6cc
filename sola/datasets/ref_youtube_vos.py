"""Ref-YouTube-VOS (Seo et al., "URVOS", 2020)."""

from collections.abc import Collection
from functools import cached_property
from pathlib import Path

from sola.datasets.annotations import LabelMapSplit, join_frames
from sola.datasets.meta import FRAMES_DIR, read_meta
from sola.datasets.split import Problem
from sola.files import sha256_of_file
from sola.types import Masklet

NUM_COMPETITION_VIDEOS = 202
"""The expressions file of valid lists 507 videos: these, and the 305 of test."""
VOID = 255
"""Value of void pixels, unless an expression names it."""


class RefYouTubeVOS(LabelMapSplit):
    """A split of Ref-YouTube-VOS: train, valid (without ground truth as published) or test.

    The published expressions of valid include those of test; videos listed in test are left out of
    valid.
    """

    protocol = "ref_youtube_vos"

    @cached_property
    def annotations_sha256(self) -> dict[str, str]:
        """See ``Split.annotations_sha256``; valid includes the expressions of test."""
        sha256 = dict(super().annotations_sha256)
        if self.split == "valid" and self._test_path.is_file():
            sha256["test/meta_expressions.json"] = sha256_of_file(self._test_path)
        return sha256

    def frames_dir(self, video_id: str) -> Path:
        """Return the folder of a video's frames; those of test may be with those of valid."""
        folder = super().frames_dir(video_id)
        if self.split == "test" and not folder.is_dir():
            return self.root / "valid" / FRAMES_DIR / video_id
        return folder

    def ground_truth(self, video_id: str) -> dict[str, Masklet]:
        """See ``Split.ground_truth``: all annotated objects in order of id, named or not.

        The published gt tracks were prompted with all of them.
        """
        if not (self.has_masks and self.annotations_dir(video_id).is_dir()):
            return super().ground_truth(video_id)
        size, named = self.frame_size(video_id), {*map(int, self.named_objects(video_id))}
        by_frame = self._masks_by_frame(video_id, size)
        values = {value for masks in by_frame for value in masks} - {VOID} | named
        return join_frames(by_frame, map(str, sorted(values)), size)

    @property
    def _test_path(self) -> Path:
        return self.meta_path.parent.parent / "test" / self.meta_path.name

    def _videos_of_split(self, listed: Collection[str]) -> list[str]:
        of_test: Collection[str] = ()
        if self.split == "valid":
            if self._test_path.is_file():
                of_test = read_meta(self._test_path)
            elif len(listed) != NUM_COMPETITION_VIDEOS:
                reason = f"not found; without it, {self.meta_path} lists {len(listed)} videos of "
                reason += f"valid and test, not the {NUM_COMPETITION_VIDEOS} of valid"
                self.problems.append(Problem(self._test_path, reason))
        return [video_id for video_id in listed if video_id not in of_test]
