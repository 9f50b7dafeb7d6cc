"""All tracks of one video, or of one of its expressions, from its prompts."""

from collections import Counter

import numpy as np

from sola.masks import decode
from sola.metrics import count_pixels, detection_evidence
from sola.prompts import KeptPrompts, PromptedVideo, PromptQueue, PromptSource
from sola.types import Masklet, Prompt, Tracks


def track_prompts(
    video: PromptedVideo,
    kept: KeptPrompts,
    source: PromptSource,
    expression_id: str = "",
    *,
    token_dim: int | None,
) -> tuple[Tracks, Counter[str]]:
    """Propagate the prompts of a video, or of one expression, in the order of ``PromptQueue``.

    No prompts give a valid answer of no tracks. Without tokens (``token_dim`` None) the width of
    ``object_tokens`` is 0.

    Returns:
        The tracks, and the numbers of prompts found and dropped by each rule.
    """
    session, num_frames = video.session, video.num_frames
    queue = PromptQueue(kept.prompts, source.rule, num_frames, source.choose_group)
    tracked: list[Prompt] = []
    masklets: list[Masklet] = []
    tokens = [np.zeros((0, num_frames, token_dim or 0), np.float32)]
    scores = [np.zeros((0, num_frames), np.float32)]
    while group := queue.next_group():
        masks = decode([prompt.mask for prompt in group])
        result = session.propagate(group[0].frame_idx, masks)
        queue.drop_duplicates(result.masklets)
        tracked += group
        masklets += result.masklets
        if result.object_tokens is not None:
            tokens.append(result.object_tokens)
        scores.append(result.object_scores)
    has_labels = bool(video.ground_truth) or source.needs_ground_truth
    evidence = None  # unless the prompts are a detector's scored answers to one sentence
    if source.is_by_expression and all(prompt.token_scores for prompt in kept.prompts):
        frame_idxs, duplicate_iou = source.frame_idxs(video), source.rule.duplicate_iou
        evidence = detection_evidence(tracked, masklets, kept.prompts, frame_idxs, duplicate_iou)
    tracks = Tracks(
        video_id=video.video_id,
        expression_id=expression_id,
        object_tokens=np.concatenate(tokens).reshape(len(tracked), num_frames, token_dim or 0),
        object_scores=np.concatenate(scores),
        masklets=tuple(masklets),
        prompts=tuple(tracked),
        size=video.size,
        labels=count_pixels(masklets, video.ground_truth, num_frames) if has_labels else None,
        evidence=evidence,
    )
    dropped = Counter(duplicates=queue.num_duplicates, over_cap=queue.num_over_cap)
    return tracks, kept.counts + dropped
