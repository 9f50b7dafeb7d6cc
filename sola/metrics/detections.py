"""A detector's evidence for tracks, and detection scores, which need no training."""

from collections.abc import Sequence

import numpy as np

from sola.masks import areas, intersections
from sola.types import DetectionEvidence, Masklet, Prompt

MIN_FRAMES = 3  # a track visible on fewer searched frames is scored as if visible on this many


def detection_evidence(
    tracked: Sequence[Prompt],
    masklets: Sequence[Masklet],
    prompts: Sequence[Prompt],
    frame_idxs: Sequence[int],
    duplicate_iou: float,
) -> DetectionEvidence:
    """Return the support of a sentence's prompts for each of its tracks.

    A prompt supports a track if the IoU of their masks on the prompt's frame is above
    ``duplicate_iou``, whether the prompt was tracked itself, dropped as a duplicate or over the
    cap. A track's own prompt always supports it.

    Args:
        tracked: N prompts, one per track.
        masklets: N masklets of T masks.
        prompts: all prompts of the sentence that passed the thresholds, including those of the
            tracks. Each has at least one token score; the best is the prompt's score.
        frame_idxs: searched frames; frames of prompts count as searched, too.
        duplicate_iou: see ``TrackingRule``.
    """
    searched = sorted({*frame_idxs, *(prompt.frame_idx for prompt in prompts)})
    column = {frame_idx: idx for idx, frame_idx in enumerate(searched)}
    scores = np.zeros((len(tracked), len(searched)), np.float32)
    by_frame: dict[int, list[Prompt]] = {}
    for prompt in prompts:
        by_frame.setdefault(prompt.frame_idx, []).append(prompt)
    for frame_idx, found in by_frame.items():
        is_support = _overlap(masklets, found, frame_idx, duplicate_iou)
        of_prompts = np.array([_score(prompt) for prompt in found], np.float32)
        best = np.where(is_support, of_prompts, 0).max(axis=1, initial=0)
        scores[:, column[frame_idx]] = best
    for track, prompt in enumerate(tracked):
        cell = track, column[prompt.frame_idx]
        scores[cell] = max(scores[cell], np.float32(_score(prompt)))
    return DetectionEvidence(tuple(searched), scores)


def detection_scores(evidence: DetectionEvidence, masklets: Sequence[Masklet]) -> np.ndarray:
    """Return the mean evidence of each track over the searched frames on which it has a mask.

    The sum is divided by the number of these frames, but at least by ``MIN_FRAMES`` (or by the
    number of searched frames, if that is smaller), as a track seen on a single frame is uncertain.

    Args:
        evidence: evidence for N tracks.
        masklets: the tracks' N masklets of T masks.

    Returns:
        (N,) float64.
    """
    searched = list(evidence.frame_idxs)
    if not masklets:
        return np.zeros(0)
    on_frames = [[masklet[frame_idx] for frame_idx in searched] for masklet in masklets]
    num_visible = (areas(on_frames) > 0).sum(axis=1)
    least = min(MIN_FRAMES, len(searched))
    scores: np.ndarray = evidence.scores.sum(axis=1, dtype=np.float64)
    return scores / np.maximum(num_visible, least)


def _overlap(
    masklets: Sequence[Masklet], prompts: Sequence[Prompt], frame_idx: int, least_iou: float
) -> np.ndarray:
    """Return whether the IoU of each track and prompt on one frame is above a limit, (N, n)."""
    tracks = [[masklet[frame_idx]] for masklet in masklets]
    masks = [[prompt.mask] for prompt in prompts]
    shared = intersections(tracks, masks, 1)[:, :, 0]
    either = areas(tracks).reshape(-1, 1) + areas(masks)[:, 0] - shared
    is_above: np.ndarray = shared > least_iou * either
    return is_above


def _score(prompt: Prompt) -> float:
    return max(prompt.token_scores)
