"""Interfaces of prompt sources and detectors, and the order in which prompts are tracked."""

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import ArrayLike

from sola.checks import at_least, between, folder_name
from sola.masks import areas, encode, intersections
from sola.trackers import GeneratedMask, Session
from sola.types import Expression, Masklet, Prompt, RunLength, Video

WHOLE_VIDEO = ""
"""Stands for a text where prompts are the video's own."""
GroupRule = Callable[[Sequence[Prompt], int, int | None], list[Prompt]]
"""Chooses the next group: (unused prompts, largest first, at least one; largest size of a group;
tracks left until the cap, None without a cap) -> the prompts of one frame to track together."""


@dataclasses.dataclass(frozen=True)
class PromptedVideo:
    """A video as a prompt source sees it."""

    video: Video
    session: Session
    """Makes masks on its frames."""
    expressions: tuple[Expression, ...]
    """Of the video."""
    ground_truth: Mapping[str, Masklet]
    """T masks of the frames' size per object id; {} where the split has no ground truth."""
    is_training_split: bool

    @property
    def video_id(self) -> str:
        """Its name on disk."""
        return self.video.video_id

    @property
    def num_frames(self) -> int:
        """T."""
        return self.session.num_frames

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) of the frames."""
        return self.session.size

    def frame(self, frame_idx: int) -> np.ndarray:
        """One frame: (H, W, 3) uint8 RGB."""
        return self.session.frame(frame_idx)

    def masks_of_boxes(self, frame_idx: int, boxes: ArrayLike) -> list[GeneratedMask]:
        """The tracker's masks of boxes on a frame, which goes once through the image encoder.

        Args:
            frame_idx: the frame.
            boxes: (n, 4) left, top, right, bottom in pixels; none is a valid answer.
        """
        corners = np.asarray(boxes, np.float32).reshape(-1, 4)
        return self.session.masks_of_boxes(frame_idx, corners) if len(corners) else []

    def automatic_masks(self, frame_idx: int) -> list[GeneratedMask]:
        """The tracker's masks of whatever is on a frame."""
        return self.session.propose_masks(frame_idx)


@dataclasses.dataclass(frozen=True)
class Detections:
    """Boxes found on one frame for one text, in no particular order."""

    boxes: np.ndarray
    """(n, 4) float32, left, top, right, bottom in pixels; they may reach beyond the frame."""
    token_scores: np.ndarray
    """(n, L) float32 in [0, 1], for each token of the text, special tokens included."""
    phrases: tuple[str, ...]
    """n, the words of the text that score above the text threshold; "" for none."""


class Detector(ABC):
    """Finds boxes of what a sentence refers to, on one frame at a time.

    Constructors check their arguments and touch no file; ``load`` reads the weights.
    """

    def check(self) -> None:  # noqa: B027  # a detector without files needs nothing
        """Look for files and packages before anything is written.

        Raises:
            UserError: if something is missing.
        """

    def digests(self) -> dict[str, str]:
        """Return the SHA-256 of the weights, under the name that index.json gives it."""
        return {}

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """Return the values that decide what is found, without paths and box thresholds."""

    def load(self, device: torch.device) -> None:  # noqa: B027
        """Load the weights. Called once, before the first ``detect``."""

    @abstractmethod
    def detect(
        self, frame: np.ndarray, texts: Sequence[str], box_threshold: float
    ) -> list[Detections]:
        """Find the boxes of each text on one frame.

        Args:
            frame: (H, W, 3) uint8 RGB.
            texts: sentences, as they are written.
            box_threshold: boxes whose best token score is above this are returned.

        Returns:
            One result per text, which does not depend on the other texts.
        """


@dataclasses.dataclass(frozen=True)
class TrackingRule:
    """How prompts are grouped, deduplicated and capped; defaults are the published values."""

    max_tracks: int | None = None
    """Cap on the tracks of one video, or of one expression; None: no cap."""
    duplicate_iou: float = 0.7
    """A prompt whose IoU with a finished track, on the prompt's frame, is above this is a
    duplicate, and dropped."""
    group_size: int = 4
    """Prompts of one frame tracked together (part of the rule: duplicates are dropped after)."""
    group_size_long: int = 2
    """The same in long videos: more frames need more memory."""
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
    """Finds the prompts of videos: docs/adding_a_prompt_source.md shows how to write one.

    Public attributes with plain values, and detectors, are the settings of a source; a ``Path`` is
    none, as ``digests`` says what it holds. Together with its code they decide whether prompts that
    were found before can be used again.

    Args:
        name: of its folders of prompts and tracks.
        rule: order, groups, duplicates and cap of the tracks; None: the paper's.
        frame_stride: every frame_stride-th frame is searched, see ``frame_idxs``.
    """

    is_by_expression: ClassVar[bool] = False
    """Whether prompts are found for one expression and belong to it only."""
    needs_ground_truth: ClassVar[bool] = False
    """Whether splits without ground truth are refused."""
    is_kept: ClassVar[bool] = True
    """Whether what is found stays in data/prompts; False where finding costs nothing."""
    thresholds: ClassVar[tuple[str, ...]] = ()
    """Attributes that only ``keep`` uses: prompts found with other values are used again."""
    causes_of_nothing: ClassVar[str] = "Check the options of the source, and its find and keep."
    """What to check when a whole split has no prompts; sentences of an error message."""

    def __init__(
        self, name: str, rule: TrackingRule | None = None, *, frame_stride: int = 4
    ) -> None:
        folder_name(name=name)
        at_least(1, frame_stride=frame_stride)
        self.name, self.rule, self.frame_stride = name, rule or TrackingRule(), frame_stride

    @property
    def found_threshold(self) -> float:
        """Score below which prompts are not even found; see ``PromptStore.read``."""
        return 0.0

    def check(self) -> None:  # noqa: B027  # most need nothing
        """Look for what it needs, before anything is written.

        Raises:
            UserError: if something is missing.
        """

    def digests(self) -> dict[str, str]:
        """SHA-256 of files that prompts depend on, by the name that index.json gives them."""
        return {}

    def describe(self) -> dict[str, Any]:
        """Values that decide which tracks there are."""
        values = {
            name: value.describe() if isinstance(value, Detector) else value
            for name, value in vars(self).items()
            if not name.startswith("_")
        }
        values["rule"] = dataclasses.asdict(self.rule)
        return {name: value for name, value in values.items() if _is_plain(value)}

    def describe_search(self) -> dict[str, Any]:
        """Values that decide what is found on a frame."""
        others = ("name", "frame_stride", "rule", *self.thresholds)
        return {name: value for name, value in self.describe().items() if name not in others}

    def open(self, device: torch.device) -> None:  # noqa: B027
        """Load what finding needs; called once, before the first ``find``."""

    def frame_idxs(self, video: PromptedVideo) -> Sequence[int]:
        """Frames of a video to look at: every ``frame_stride``-th."""
        return range(0, video.num_frames, self.frame_stride)

    @abstractmethod
    def find(
        self, video: PromptedVideo, frame_idxs: Sequence[int], texts: Sequence[str]
    ) -> Mapping[str, Sequence[Prompt]]:
        """Prompts by text, on some frames of a video.

        Args:
            video: the video.
            frame_idxs: some of those that ``frame_idxs`` names.
            texts: of the expressions, each once, as they are written; where prompts are the
                video's own, the one text "".
        """

    def keep(self, found: Sequence[Prompt]) -> Sequence[Prompt]:
        """Those prompts of one text, none of them empty, that are to be tracked: all."""
        return found

    def choose_group(self, unused: Sequence[Prompt], size: int, room: int | None) -> list[Prompt]:
        """Choose the prompts to track next: the first one and all others of its frame.

        This is the rule of the published grid script; ``GroupRule`` describes the arguments.
        """
        same_frame = [prompt for prompt in unused if prompt.frame_idx == unused[0].frame_idx]
        return same_frame[: size if room is None else min(size, room)]

    def num_tracks(self, expressions: Sequence[Expression]) -> int:
        """About how many tracks a video has, beside other videos: long ones are made first."""
        return len(expressions) if self.is_by_expression else 1

    def prompt(self, frame_idx: int, mask: np.ndarray | RunLength, **provenance: Any) -> Prompt:
        """A prompt of this source.

        Args:
            frame_idx: its frame.
            mask: (H, W) bool, of the frame's size (of numbers, nonzero counts), or its run-length
                code.
            provenance: other fields of ``Prompt``: predicted_iou, stability_score, box, phrase, ...
        """
        code = mask if isinstance(mask, dict) else encode(np.asarray(mask).astype(bool)[None])[0]
        return Prompt(frame_idx, code, int(areas([[code]])[0, 0]), self.name, **provenance)


class PromptQueue:
    """The prompts of one video (or expression) that are still to be tracked.

    Largest first: the next unused prompt and others still unused on the same frame form a group;
    when it is tracked, every unused prompt that one of the new tracks covers on its frame is
    dropped as a duplicate. A group is chosen before its own duplicates are known, so its size is
    part of the rule.
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
            prompts: all that may be tracked.
            rule: group sizes, cap and the overlap of duplicates.
            num_frames: of the video.
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
        """Prompts left over when the cap is reached."""
        return len(self._unused)

    def next_group(self) -> list[Prompt]:
        """The next prompts to track together, all on one frame; [] at the end."""
        if not self._unused:
            return []
        group = self._choose_group(self._unused, self._group_size, self._room)
        if self._room is not None:
            self._room -= len(group)
        chosen = {id(prompt) for prompt in group}
        self._unused = [prompt for prompt in self._unused if id(prompt) not in chosen]
        return group

    def drop_duplicates(self, masklets: Sequence[Masklet]) -> None:
        """Drop the unused prompts that new tracks, n masklets of T masks, cover on their frames."""
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
