"""Ground-truth masks as prompts."""

from collections.abc import Sequence

import numpy as np

from sola.checks import at_least, one_of
from sola.masks import areas
from sola.prompts.base import WHOLE_VIDEO, PromptedVideo, PromptSource
from sola.prompts.selection import TrackingRule
from sola.types import Expression, Prompt


class GroundTruth(PromptSource):
    """True masks of every object of a video. An object that is never visible has no prompt."""

    needs_ground_truth = True
    is_kept = False
    causes_of_nothing = (
        "No object has a mask on any frame. Check that label maps hold the ids of objects (1, 2, "
        "...), not 0 and 255, and that the expressions name their objects (obj_id or anno_id)."
    )

    def __init__(
        self,
        frames: str = "largest",
        frames_per_object: int = 1,
        *,
        name: str = "gt",
        rule: TrackingRule | None = None,
    ) -> None:
        """Choose the prompted frames.

        Args:
            frames: which of the frames on which an object is visible: "largest" (by area),
                "first", or "even" (evenly spaced over them).
            frames_per_object: prompts per object, as far as it is visible on as many frames.
            name: see ``PromptSource``.
            rule: see ``PromptSource``.

        Raises:
            UserError: if a value is unknown or out of range.
        """
        super().__init__(name, rule)
        one_of(("largest", "first", "even"), frames=frames)
        at_least(1, frames_per_object=frames_per_object)
        self.frames, self.frames_per_object = frames, frames_per_object

    def find(
        self, video: PromptedVideo, frame_idxs: Sequence[int], texts: Sequence[str]
    ) -> dict[str, list[Prompt]]:
        """See ``PromptSource.find``; frames are those that the rule chooses for each object."""
        prompts = []
        for object_id, masklet in video.ground_truth.items():
            pixels = areas([masklet])[0]
            prompts += [
                self.prompt(idx, masklet[idx], object_id=object_id)
                for idx in choose_frames(pixels, self.frames, self.frames_per_object)
            ]
        return {WHOLE_VIDEO: prompts}

    def num_tracks(self, expressions: Sequence[Expression]) -> int:
        """See ``PromptSource.num_tracks``: objects times prompts of one."""
        objects = {each for expression in expressions for each in expression.object_ids or ()}
        return len(objects) * self.frames_per_object


def choose_frames(pixels: np.ndarray, rule: str, count: int) -> list[int]:
    """Return the frames on which an object is prompted; see ``GroundTruth``.

    Args:
        pixels: (T,) area of the object on each frame.
        rule: "largest", "first" or "even".
        count: at most so many frames.
    """
    frames = np.flatnonzero(pixels)
    count = min(count, len(frames))
    if rule == "largest":
        frames = frames[np.argsort(-pixels[frames], kind="stable")]
    elif rule == "even":  # the middles of `count` equal stretches
        frames = frames[((np.arange(count) + 0.5) * len(frames) / max(count, 1)).astype(int)]
    return [int(idx) for idx in frames[:count]]
