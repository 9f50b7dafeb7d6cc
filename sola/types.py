"""The nouns of the project: frozen data classes without logic, shared by every module.

Shape letters: B samples, N tracks, T frames, L text tokens, D channels, G ground-truth objects,
H, W.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

import numpy as np


class RunLength(TypedDict):
    """One mask, COCO compressed run-length: ``size`` is [H, W], ``counts`` the code as ASCII."""

    size: list[int]
    counts: str


Masklet = list[RunLength]
"""One object's masks over time: T masks, one a frame; an absent object's mask is empty."""


@dataclass(frozen=True)
class Video:
    """The frames of one video, on disk."""

    video_id: str
    frame_paths: tuple[Path, ...]
    """T image files in the order of time; their stems name the frames in a submission."""


@dataclass(frozen=True)
class Expression:
    """One sentence about one video."""

    video_id: str
    expression_id: str
    text: str
    object_ids: tuple[str, ...] | None
    """Objects that the sentence means; () for none of them, None where ground truth is unknown."""
    kind: str = ""
    """Kind of sentence, as the data set records it; "" if it does not."""


@dataclass(frozen=True)
class Prompt:
    """A mask on one frame from which a track starts, and where it came from."""

    frame_idx: int
    """-1: unknown (of an imported track), and then ``mask`` is empty and ``area`` -1."""
    mask: RunLength
    area: int
    """Pixels of the mask."""
    source: str
    """Prompt source: "gt", "grid", "gdino", or another."""
    object_id: str = ""
    """Ground-truth object that the mask was taken from (gt only)."""
    predicted_iou: float = float("nan")
    stability_score: float = float("nan")
    box: tuple[float, float, float, float] | None = None
    """(left, top, right, bottom) in pixels of the frame, from which the mask was made (gdino)."""
    phrase: str = ""
    """Words of the expression that the box was found for (gdino)."""
    token_scores: tuple[float, ...] = ()
    """Score of the box for each of the detector's L tokens of the expression (gdino)."""


@dataclass(frozen=True)
class FoundPrompts:
    """Everything that was found on frames of a video, before any rule drops some of it."""

    size: tuple[int, int]
    """(H, W) of every mask."""
    frames: tuple[int, ...]
    """Frames that were looked at."""
    box_threshold: float
    """Boxes that score no more were not made into masks (gdino)."""
    by_text: dict[str, tuple[Prompt, ...]]
    """By the text that was looked for, "" for whatever there is; () where nothing was found."""


@dataclass(frozen=True)
class Labels:
    """Per-frame pixel counts of N tracks against G ground-truth objects."""

    object_ids: tuple[str, ...]
    """G names."""
    intersections: np.ndarray
    """(N, G, T) int32, pixels in both."""
    track_areas: np.ndarray
    """(N, T) int32."""
    object_areas: np.ndarray
    """(G, T) int32."""


@dataclass(frozen=True)
class DetectionEvidence:
    """Support of a detector's answers to one sentence for its N tracks."""

    frame_idxs: tuple[int, ...]
    """K searched frames, ascending."""
    scores: np.ndarray
    """(N, K) float32, best score on the frame of a prompt that supports the track; 0: none."""


@dataclass(frozen=True)
class Tracks:
    """All tracks of one video (of one expression, for gdino) from one prompt source."""

    video_id: str
    expression_id: str
    """"" where the tracks belong to the whole video."""
    object_tokens: np.ndarray
    """(N, T, D) float32; D is 0 if the tracker has no tokens."""
    object_scores: np.ndarray
    """(N, T) float32 logits; above 0: the object is there; NaN: unknown."""
    masklets: tuple[Masklet, ...]
    """N masklets of T masks."""
    prompts: tuple[Prompt, ...]
    """N prompts, one a track."""
    size: tuple[int, int]
    """(H, W) of every mask, the frames' own size."""
    labels: Labels | None = None
    """None where the split has no ground truth."""
    evidence: DetectionEvidence | None = None
    """None where the prompts are not a detector's answers to one sentence, or were imported."""
