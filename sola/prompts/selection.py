"""Which prompts are tracked next: by area, in groups of one frame, without duplicates."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sola.checks import at_least, between
from sola.masks import areas, intersections
from sola.types import Masklet, Prompt

GroupRule = Callable[[Sequence[Prompt], int, int | None], list[Prompt]]
"""Chooses the next group: (unused prompts, largest first, at least one; largest size of a group;
tracks left until the cap, None without a cap) -> the prompts of one frame to track together."""


@dataclass(frozen=True)
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
