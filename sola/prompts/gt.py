"""Ground-truth masks as prompts."""

from collections.abc import Mapping, Sequence

import numpy as np

from sola.checks import at_least, one_of
from sola.errors import UserError
from sola.masks import areas
from sola.prompts.base import WHOLE_VIDEO, PromptedVideo, PromptSource
from sola.prompts.selection import TrackingRule
from sola.types import Expression, Masklet, Prompt

SOURCE = "gt"
FRAME_RULES = ("largest", "first", "even")


class GroundTruth(PromptSource):
    """True masks of every object of a video; see ``ground_truth_prompts``."""

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
        name: str = SOURCE,
        rule: TrackingRule | None = None,
    ) -> None:
        """Choose the prompted frames.

        Args:
            frames: see ``ground_truth_prompts``.
            frames_per_object: prompts per object; above 1 needs frames="even".
            name: see ``PromptSource``.
            rule: see ``PromptSource``.

        Raises:
            UserError: if a value is unknown or out of range.
        """
        super().__init__(name, rule)
        one_of(FRAME_RULES, frames=frames)
        at_least(1, frames_per_object=frames_per_object)
        if frames != "even" and frames_per_object > 1:
            raise UserError(
                f"frames_per_object: must be 1 with frames={frames}, got {frames_per_object}. "
                "Set frames=even."
            )
        self.frames, self.frames_per_object = frames, frames_per_object

    def find(
        self, video: PromptedVideo, frame_idxs: Sequence[int], texts: Sequence[str]
    ) -> dict[str, list[Prompt]]:
        """See ``PromptSource.find``; frames are those that the rule chooses for each object."""
        prompts = ground_truth_prompts(video.ground_truth, self.frames, self.frames_per_object)
        return {WHOLE_VIDEO: prompts}

    def num_tracks(self, expressions: Sequence[Expression]) -> int:
        """See ``PromptSource.num_tracks``: objects times prompts of one."""
        objects = {each for expression in expressions for each in expression.object_ids or ()}
        return len(objects) * self.frames_per_object


def ground_truth_prompts(
    masklets: Mapping[str, Masklet], frames: str = "largest", frames_per_object: int = 1
) -> list[Prompt]:
    """Prompts of every object of a video, the objects in order.

    Args:
        masklets: T masks per object id; an object that is never visible gives no prompt.
        frames: which of the frames on which an object is visible: "largest" (by area), "first",
            or "even" (evenly spaced over them).
        frames_per_object: prompts per object, as far as it is visible on as many frames.

    Raises:
        ValueError: if the rule is unknown.
    """
    if frames not in FRAME_RULES:
        raise ValueError(f"frames is {frames!r}, one of {FRAME_RULES} is needed")
    prompts = []
    for object_id, masklet in masklets.items():
        pixels = areas([masklet])[0]
        for frame_idx in _choose_frames(pixels, frames, frames_per_object):
            prompts.append(
                Prompt(
                    frame_idx=frame_idx,
                    mask=masklet[frame_idx],
                    area=int(pixels[frame_idx]),
                    source=SOURCE,
                    object_id=object_id,
                )
            )
    return prompts


def _choose_frames(pixels: np.ndarray, rule: str, count: int) -> list[int]:
    visible = np.flatnonzero(pixels)
    count = min(count, len(visible))
    if rule == "largest":
        order = np.argsort(-pixels[visible], kind="stable")
        chosen = visible[order[:count]]
    elif rule == "first":
        chosen = visible[:count]
    else:  # the middles of `count` equal stretches
        chosen = visible[((np.arange(count) + 0.5) * len(visible) / max(count, 1)).astype(int)]
    return [int(frame_idx) for frame_idx in chosen]
