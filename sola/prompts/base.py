"""Interfaces of prompt sources and detectors, and the queue of prompts to track."""

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import ArrayLike

from sola.checks import at_least, between, folder_name
from sola.masks import areas, encode, intersections
from sola.trackers import GeneratedMask, Session
from sola.types import Expression, Masklet, Prompt, RunLength, Video

WHOLE_VIDEO = ""
"""Placeholder for the text of prompts that belong to the whole video."""
GroupRule = Callable[[Sequence[Prompt], int, int | None], list[Prompt]]
"""Chooses the next group: (unused prompts, at least one, largest first; largest size of a group;
tracks left until the cap, None without a cap) -> prompts of one frame to track together."""


@dataclasses.dataclass(frozen=True)
class PromptedVideo:
    """A video with all that a prompt source may use."""

    video: Video
    session: Session
    """Makes masks on frames of the video."""
    expressions: tuple[Expression, ...]
    """Expressions of the video."""
    ground_truth: Mapping[str, Masklet]
    """Object id -> T masks of the frames' size; {} if the split has no ground truth."""
    is_training_split: bool

    @property
    def video_id(self) -> str:
        """Name of the video on disk."""
        return self.video.video_id

    @property
    def num_frames(self) -> int:
        """Number of frames, T."""
        return self.session.num_frames

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) of the frames."""
        return self.session.size

    def frame(self, frame_idx: int) -> np.ndarray:
        """Return one frame, (H, W, 3) uint8 RGB."""
        return self.session.frame(frame_idx)

    def masks_of_boxes(self, frame_idx: int, boxes: ArrayLike) -> list[GeneratedMask]:
        """Return the tracker's masks of boxes on a frame; the image encoder runs once.

        Args:
            frame_idx: the frame.
            boxes: (n, 4) left, top, right, bottom in pixels; n may be 0.
        """
        corners = np.asarray(boxes, np.float32).reshape(-1, 4)
        return self.session.masks_of_boxes(frame_idx, corners) if len(corners) else []

    def automatic_masks(self, frame_idx: int) -> list[GeneratedMask]:
        """Return the tracker's automatic masks of everything on a frame."""
        return self.session.propose_masks(frame_idx)


@dataclasses.dataclass(frozen=True)
class Detections:
    """Boxes found on one frame for one text, in no particular order."""

    boxes: np.ndarray
    """(n, 4) float32, left, top, right, bottom in pixels; they may reach beyond the frame."""
    token_scores: np.ndarray
    """(n, L) float32 in [0, 1], one per token of the text, including special tokens."""
    phrases: tuple[str, ...]
    """n phrases: the words of the text that score above the text threshold; "" for none."""


class Detector(ABC):
    """Finds the boxes that a sentence refers to, one frame at a time.

    Constructors check their arguments and touch no file; ``load`` reads the weights.
    """

    def check(self) -> Mapping[str, Path] | None:
        """Check that files and packages exist, and fetch files, before anything is written.

        Returns:
            Files and folders of weights by their keys in the configuration, which sola download
            shows; None if they are unknown.

        Raises:
            UserError: if a file or package is missing.
        """
        return None

    def digests(self) -> dict[str, str]:
        """Return the SHA-256 of the weights, by its key in index.json."""
        return {}

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """Return the settings that decide the boxes, without paths and box thresholds."""

    def load(self, device: torch.device) -> None:  # noqa: B027
        """Load the weights. Called once, before the first ``detect``."""

    @abstractmethod
    def detect(
        self, frame: np.ndarray, texts: Sequence[str], box_threshold: float
    ) -> list[Detections]:
        """Find the boxes of each text on one frame.

        Args:
            frame: (H, W, 3) uint8 RGB.
            texts: sentences in their original spelling.
            box_threshold: boxes whose best token score is above this are returned.

        Returns:
            One result per text; it must not depend on the other texts.
        """


@dataclasses.dataclass(frozen=True)
class TrackingRule:
    """Rule to group, deduplicate and cap prompts; the defaults are the published values."""

    max_tracks: int | None = None
    """Cap on the tracks of one video, or of one expression; None: no cap."""
    duplicate_iou: float = 0.7
    """A prompt is dropped as a duplicate if its IoU with a finished track, on the prompt's frame,
    is above this."""
    group_size: int = 4
    """Prompts of one frame tracked together; duplicates are dropped only after each group."""
    group_size_long: int = 2
    """Size of a group in long videos, which need more memory."""
    long_video_frames: int = 200
    """Videos with more frames than this are long."""

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            UserError: if one is out of range.
        """
        at_least(1, max_tracks=self.max_tracks, group_size=self.group_size)
        at_least(1, group_size_long=self.group_size_long, long_video_frames=self.long_video_frames)
        between(0, 1, duplicate_iou=self.duplicate_iou)


class PromptSource(ABC):
    """Finds the prompts of videos. See docs/adding_a_prompt_source.md for how to write one.

    The settings of a source are its public attributes with plain values, and its detectors. A
    ``Path`` is not a setting, as ``digests`` identifies the file. Cached prompts are reused only if
    the settings and the code of the source have not changed.

    Args:
        name: of its folders of prompts and tracks.
        rule: groups, duplicates and cap of the tracks; None: the paper's.
        frame_stride: every frame_stride-th frame is searched, see ``frame_idxs``.
    """

    is_by_expression: ClassVar[bool] = False
    """Whether prompts are found for each expression separately."""
    needs_ground_truth: ClassVar[bool] = False
    """Whether the source needs a split with ground truth."""
    is_kept: ClassVar[bool] = True
    """Whether found prompts are cached in data/prompts; False if finding them costs nothing."""
    thresholds: ClassVar[tuple[str, ...]] = ()
    """Attributes that only ``keep`` uses; changing them does not invalidate cached prompts."""
    causes_of_nothing: ClassVar[str] = "Check the options of the source, and its find and keep."
    """Advice in the error message when a whole split has no prompts."""

    def __init__(
        self, name: str, rule: TrackingRule | None = None, *, frame_stride: int = 4
    ) -> None:
        folder_name(name=name)
        at_least(1, frame_stride=frame_stride)
        self.name, self.rule, self.frame_stride = name, rule or TrackingRule(), frame_stride

    @property
    def found_threshold(self) -> float:
        """Score below which ``find`` returns no prompts; see ``PromptStore.read``."""
        return 0.0

    def check(self) -> Mapping[str, Path] | None:
        """Check that needed files exist, before anything is written; see ``Detector.check``.

        Raises:
            UserError: if a file is missing.
        """
        return None

    def digests(self) -> dict[str, str]:
        """Return the SHA-256 of files that prompts depend on, by their keys in index.json."""
        return {}

    def describe(self) -> dict[str, Any]:
        """Return the settings that decide the tracks."""
        values = {
            name: value.describe() if isinstance(value, Detector) else value
            for name, value in vars(self).items()
            if not name.startswith("_")
        }
        values["rule"] = dataclasses.asdict(self.rule)
        return {name: value for name, value in values.items() if _is_plain(value)}

    def describe_search(self) -> dict[str, Any]:
        """Return the settings that decide the prompts found on a frame."""
        others = ("name", "frame_stride", "rule", *self.thresholds)
        return {name: value for name, value in self.describe().items() if name not in others}

    def open(self, device: torch.device) -> None:  # noqa: B027
        """Load what ``find`` needs. Called once, before the first ``find``."""

    def frame_idxs(self, video: PromptedVideo) -> Sequence[int]:
        """Return the frames of a video to search: every ``frame_stride``-th."""
        return range(0, video.num_frames, self.frame_stride)

    @abstractmethod
    def find(
        self, video: PromptedVideo, frame_idxs: Sequence[int], texts: Sequence[str]
    ) -> Mapping[str, Sequence[Prompt]]:
        """Return the prompts on some frames of a video, by text.

        Args:
            video: the video.
            frame_idxs: some of the frames that ``frame_idxs`` returns.
            texts: distinct texts of the expressions, in their original spelling; only "" if
                prompts belong to the whole video.
        """

    def keep(self, found: Sequence[Prompt]) -> Sequence[Prompt]:
        """Return the prompts of one text to track, here all; empty ones are dropped before."""
        return found

    def choose_group(self, unused: Sequence[Prompt], size: int, room: int | None) -> list[Prompt]:
        """Choose the prompts to track next: the first one and all others of its frame.

        This is the rule of the published grid script; ``GroupRule`` describes the arguments.
        """
        same_frame = [prompt for prompt in unused if prompt.frame_idx == unused[0].frame_idx]
        return same_frame[: size if room is None else min(size, room)]

    def num_tracks(self, expressions: Sequence[Expression]) -> int:
        """Estimate the number of tracks of a video; the most expensive videos are made first."""
        return len(expressions) if self.is_by_expression else 1

    def prompt(self, frame_idx: int, mask: np.ndarray | RunLength, **provenance: Any) -> Prompt:
        """Make a prompt of this source.

        Args:
            frame_idx: frame of the prompt.
            mask: (H, W) bool of the frame's size (nonzero numbers count as True), or its run-length
                code.
            provenance: other fields of ``Prompt``: predicted_iou, stability_score, box, phrase, ...
        """
        code = mask if isinstance(mask, dict) else encode(np.asarray(mask).astype(bool)[None])[0]
        return Prompt(frame_idx, code, int(areas([[code]])[0, 0]), self.name, **provenance)


class PromptQueue:
    """Queue of the prompts of one video (or expression) to track, largest first.

    The next unused prompt and other unused prompts on its frame form a group. Once the group is
    tracked, every unused prompt that one of the new tracks covers on its frame is dropped as a
    duplicate. Prompts of one group are not compared with one another, so the group size affects the
    result.
    """

    def __init__(
        self,
        prompts: Sequence[Prompt],
        rule: TrackingRule,
        num_frames: int,
        choose_group: GroupRule,
    ) -> None:
        """Sort the prompts by area.

        Args:
            prompts: all prompts that may be tracked.
            rule: group sizes, cap, and IoU of duplicates.
            num_frames: number of frames of the video.
            choose_group: the source's rule for the next group.
        """
        self._unused = sorted(prompts, key=lambda prompt: -prompt.area)
        is_long = num_frames > rule.long_video_frames
        self._group_size = rule.group_size_long if is_long else rule.group_size
        self._room, self._duplicate_iou = rule.max_tracks, rule.duplicate_iou
        self._choose_group = choose_group
        self.num_duplicates = 0

    @property
    def num_over_cap(self) -> int:
        """Number of prompts left over when the cap is reached."""
        return len(self._unused)

    def next_group(self) -> list[Prompt]:
        """Return the next prompts to track together, all on one frame; [] at the end."""
        if not self._unused:
            return []
        group = self._choose_group(self._unused, self._group_size, self._room)
        if self._room is not None:
            self._room -= len(group)
        chosen = {id(prompt) for prompt in group}
        self._unused = [prompt for prompt in self._unused if id(prompt) not in chosen]
        return group

    def drop_duplicates(self, masklets: Sequence[Masklet]) -> None:
        """Drop unused prompts that a new track covers; tracks are n masklets of T masks."""
        kept = [prompt for prompt in self._unused if not self._is_duplicate(prompt, masklets)]
        self.num_duplicates += len(self._unused) - len(kept)
        self._unused = kept

    def _is_duplicate(self, prompt: Prompt, masklets: Sequence[Masklet]) -> bool:
        on_frame = [[masklet[prompt.frame_idx]] for masklet in masklets]
        shared = intersections(on_frame, [[prompt.mask]], 1)[:, 0, 0]
        either = areas(on_frame)[:, 0] + areas([[prompt.mask]])[0, 0] - shared
        return bool((shared > self._duplicate_iou * either).any())


def _is_plain(value: Any) -> bool:
    if isinstance(value, dict):
        return _is_plain(list(value.values()))
    if isinstance(value, list | tuple):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, bool | int | float | str)
