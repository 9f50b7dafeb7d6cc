"""What every prompt source is: it finds the masks that tracks start from; it is found by name."""

import dataclasses
import inspect
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import ArrayLike

from sola.config.by_name import check_arguments, code_of, file_of, find_class
from sola.config.schema import PromptSourceConfig
from sola.errors import UserError
from sola.masks import encode
from sola.trackers import BoxMask, GeneratedMask, Session
from sola.trackers.stages import FRAMES, stage
from sola.types import Expression, Masklet, Prompt, Video

PACKAGE = "sola.prompts"
WHOLE_VIDEO = ""
"""Stands for a text where prompts are the video's own."""


class SettingsError(UserError):
    """Something is wrong that is the same for every video."""


@dataclasses.dataclass(frozen=True)
class PromptCounts:
    """What became of prompts; all but the first say by which rule they were dropped."""

    found: int = 0
    empty: int = 0
    unstable: int = 0
    parts: int = 0
    duplicates: int = 0
    over_cap: int = 0

    def __add__(self, other: "PromptCounts") -> "PromptCounts":
        return PromptCounts(
            *map(sum, zip(dataclasses.astuple(self), dataclasses.astuple(other), strict=True))
        )


@dataclasses.dataclass(frozen=True)
class KeptPrompts:
    """Prompts that are to be tracked."""

    prompts: list[Prompt]
    counts: PromptCounts


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
        with stage(FRAMES):
            return self.session.frames[frame_idx]

    def masks_of_boxes(self, frame_idx: int, boxes: ArrayLike) -> list[BoxMask]:
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


class PromptSource(ABC):
    """Finds the prompts of videos: docs/adding_a_prompt_source.md shows how to add one.

    Args:
        rule: the values of prompt_source in the configuration.
    """

    is_by_expression: ClassVar[bool] = False
    """Whether prompts are looked for by expression, and belong to it alone."""
    needs_ground_truth: ClassVar[bool] = False
    """Whether splits without ground truth are refused."""
    is_kept: ClassVar[bool] = True
    """Whether what is found stays in data/prompts; False where finding costs nothing."""
    places: ClassVar[tuple[str, ...]] = ()
    """Options that say where something lies; what ``digests`` says of it counts instead."""
    thresholds: ClassVar[tuple[str, ...]] = ()
    """Options that ``keep`` alone looks at: what was found counts whatever they are."""

    def __init__(self, rule: PromptSourceConfig) -> None:
        self.rule = rule

    @property
    def name(self) -> str:
        """The module that defines it, below ``sola.prompts``."""
        return self.rule.name

    def check(self) -> None:  # noqa: B027  # most need nothing
        """Look for what it needs, before anything is written.

        Raises:
            UserError: if something is missing.
        """

    def digests(self) -> dict[str, str]:
        """SHA-256 of files that prompts depend on, by the name that index.json gives them."""
        return {}

    def code(self) -> dict[str, str]:
        """SHA-256 of a user's own module: other code may find other prompts."""
        sha256 = code_of(type(self).__module__)
        return {} if sha256 is None else {"prompt_source_code_sha256": sha256}

    def settings(self) -> dict[str, Any]:
        """Values that decide what is found, by name: all options but places and thresholds."""
        return self._options(without=(*self.places, *self.thresholds))

    def description(self) -> dict[str, Any]:
        """Values that decide which tracks there are: all but those that say where files lie."""
        values = dataclasses.asdict(self.rule)
        del values["options"], values["detector_checkpoint"]
        if values["detector_network"] is not None:
            del values["detector_network"]["checkpoint"]
        return values | self._options(without=self.places)

    def open(self, device: torch.device) -> None:  # noqa: B027
        """Load what finding needs; called once, before the first ``find``."""

    def frame_idxs(self, video: PromptedVideo) -> Sequence[int]:
        """Frames of a video to look at: every ``frame_stride``-th."""
        return range(0, video.num_frames, self.rule.frame_stride)

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

    def keep(self, found: Sequence[Prompt]) -> KeptPrompts:
        """Those prompts of one text that are to be tracked: all but empty ones."""
        visible = [prompt for prompt in found if prompt.area > 0]
        counts = PromptCounts(found=len(found), empty=len(found) - len(visible))
        return KeptPrompts(visible, counts)

    def num_tracks(self, expressions: Sequence[Expression]) -> int:
        """About how many tracks a video has, beside other videos: long ones are made first."""
        return len(expressions) if self.is_by_expression else 1

    def prompt(self, frame_idx: int, mask: np.ndarray, **provenance: Any) -> Prompt:
        """A prompt of this source.

        Args:
            frame_idx: its frame.
            mask: (H, W) bool, of the frame's size; of numbers, what is not 0 counts.
            provenance: other fields of ``Prompt``: predicted_iou, stability_score, box, phrase, ...

        Raises:
            SettingsError: if it is no mask or holds NaN, or its scores are no tuple.
        """
        where = file_of(type(self))
        scores = provenance.get("token_scores", ())
        if not isinstance(scores, tuple):
            raise SettingsError(
                f"{where}: token_scores is {scores!r}; needed is a tuple of numbers, such as "
                "(0.9,)."
            )
        values = np.asarray(mask)
        if values.ndim != 2:
            raise SettingsError(f"{where}: a mask of shape {values.shape}; needed is (H, W).")
        if values.dtype.kind not in "biuf":
            raise SettingsError(
                f"{where}: a mask of dtype {values.dtype}; needed is bool, or numbers."
            )
        if values.dtype.kind == "f" and np.isnan(values).any():
            raise SettingsError(
                f"{where}: a mask on frame {frame_idx} holds NaN, which is neither object nor "
                "background. Write 0 where there is nothing."
            )
        pixels = values.astype(bool, copy=False)
        return Prompt(
            frame_idx, encode(pixels[None])[0], int(pixels.sum()), self.name, **provenance
        )

    def _options(self, without: Sequence[str]) -> dict[str, Any]:
        """Nothing for a source that has none."""
        options = {k: v for k, v in self.rule.options.items() if k not in without}
        return {"options": options} if options else {}


def build_source(rule: PromptSourceConfig) -> PromptSource:
    """The prompt source that a module below ``sola.prompts`` defines.

    Raises:
        UserError: if there is no such source, it does not take these options, or its code lacks
            something.
    """
    source_class: type[PromptSource] = find_class(
        PACKAGE, rule.name, PromptSource, "prompt_source.name"
    )
    where = file_of(source_class)
    for name in ("places", "thresholds"):
        if not isinstance(getattr(source_class, name), tuple):
            raise UserError(f'{where}: {name} must be a tuple, such as ("path",) with its comma.')
    try:
        inspect.signature(source_class).bind_partial(rule)
    except TypeError as error:
        raise UserError(
            f"{where}: __init__ takes no rule; needed is __init__(self, rule, *, ...)."
        ) from error
    check_arguments(
        source_class, rule.options, rule.name, lambda key: f"prompt_source.options.{key}", skip=1
    )
    source = source_class(rule, **rule.options)
    if not hasattr(source, "rule"):
        raise UserError(f"{where}: __init__ must call super().__init__(rule).")
    return source
