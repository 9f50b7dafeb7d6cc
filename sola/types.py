"""Data types shared by all modules: frozen data classes without logic.

Shape letters: B samples, N tracks, T frames, L text tokens, D channels, G ground-truth objects,
H height, W width.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

import numpy as np


class RunLength(TypedDict):
    """One mask as COCO's compressed run-length code: ``size`` [H, W], and ``counts`` in ASCII."""

    size: list[int]
    counts: str


Masklet = list[RunLength]
"""One object's masks over time: T masks, one per frame; empty where the object is absent."""


@dataclass(frozen=True)
class Video:
    """The frames of one video, on disk."""

    video_id: str
    frame_paths: tuple[Path, ...]
    """T image files in the order of time; submissions name frames by the files' stems."""


@dataclass(frozen=True)
class Expression:
    """One sentence about one video."""

    video_id: str
    expression_id: str
    text: str
    object_ids: tuple[str, ...] | None
    """Objects that the sentence refers to; () for no object, None if unknown."""
    kind: str = ""
    """Kind of sentence as recorded by the data set; "" if not recorded."""


@dataclass(frozen=True)
class Prompt:
    """A mask on one frame from which a track starts, and its origin."""

    frame_idx: int
    """Frame of the mask; -1: unknown (imported track), with an empty ``mask`` and ``area`` -1."""
    mask: RunLength
    area: int
    """Number of pixels of the mask."""
    source: str
    """Prompt source: "gt", "grid", "gdino", or another."""
    object_id: str = ""
    """Ground-truth object that the mask was taken from (gt only)."""
    predicted_iou: float = float("nan")
    stability_score: float = float("nan")
    box: tuple[float, float, float, float] | None = None
    """Box (left, top, right, bottom) that the mask was made from, in pixels (gdino)."""
    phrase: str = ""
    """Words of the expression that the box matches (gdino)."""
    token_scores: tuple[float, ...] = ()
    """Score of the box for each of the detector's L tokens of the expression (gdino)."""


@dataclass(frozen=True)
class FoundPrompts:
    """All prompts found on some frames of a video, before any rule drops some of them."""

    size: tuple[int, int]
    """(H, W) of every mask."""
    frames: tuple[int, ...]
    """Frames that were searched."""
    box_threshold: float
    """Boxes with a score up to this were dropped in the search (gdino)."""
    by_text: dict[str, tuple[Prompt, ...]]
    """Searched text -> prompts, () for none; the text is "" for prompts of the whole video."""


@dataclass(frozen=True)
class Labels:
    """Per-frame pixel counts of N tracks against G ground-truth objects."""

    object_ids: tuple[str, ...]
    """Names of the G objects."""
    intersections: np.ndarray
    """(N, G, T) int32, number of pixels in both track and object."""
    track_areas: np.ndarray
    """(N, T) int32, number of pixels."""
    object_areas: np.ndarray
    """(G, T) int32, number of pixels."""


@dataclass(frozen=True)
class DetectionEvidence:
    """Support of a detector's boxes for the N tracks of one sentence."""

    frame_idxs: tuple[int, ...]
    """K searched frames, ascending."""
    scores: np.ndarray
    """(N, K) float32, best score of a prompt on the frame that supports the track; 0: none."""


@dataclass(frozen=True)
class Tracks:
    """All tracks of one video (of one expression, for gdino) from one prompt source."""

    video_id: str
    expression_id: str
    """"" if the tracks belong to the whole video."""
    object_tokens: np.ndarray
    """(N, T, D) float32; D is 0 if the tracker has no tokens."""
    object_scores: np.ndarray
    """(N, T) float32 logits, above 0 where the tracker sees the object; NaN: unknown."""
    masklets: tuple[Masklet, ...]
    """N masklets of T masks."""
    prompts: tuple[Prompt, ...]
    """N prompts, one per track."""
    size: tuple[int, int]
    """(H, W) of every mask, the size of the frames."""
    labels: Labels | None = None
    """None if the split has no ground truth."""
    evidence: DetectionEvidence | None = None
    """None if the prompts are not a detector's boxes for one sentence, or were imported."""
