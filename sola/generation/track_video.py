"""All tracks of one video from its prompts."""

import numpy as np

from sola.errors import UserError
from sola.masks import decode
from sola.metrics import detection_evidence
from sola.prompts import KeptPrompts, PromptCounts, PromptQueue, PromptSource
from sola.trackers import Session
from sola.trackers.stages import CODES, RULES, stage
from sola.types import DetectionEvidence, Masklet, Prompt, Tracks


def track_prompts(
    video_id: str,
    session: Session,
    kept: KeptPrompts,
    source: PromptSource,
    expression_id: str = "",
    *,
    token_dim: int | None,
) -> tuple[Tracks, PromptCounts]:
    """Propagate the prompts of a video, or of one expression, in the order of ``PromptQueue``.

    No prompts give a valid answer of no tracks. Without tokens (``token_dim`` None) the width of
    ``object_tokens`` is 0.
    """
    queue = PromptQueue(kept.prompts, source.rule, session.num_frames, source.choose_group)
    tracked: list[Prompt] = []
    masklets: list[Masklet] = []
    tokens = [np.zeros((0, session.num_frames, token_dim or 0), np.float32)]
    scores = [np.zeros((0, session.num_frames), np.float32)]
    while group := queue.next_group():
        with stage(CODES):
            masks = decode([prompt.mask for prompt in group])
        result = session.propagate(group[0].frame_idx, masks)
        with stage(RULES):
            queue.drop_duplicates(result.masklets)
        tracked += group
        masklets += result.masklets
        tokens.append(
            np.zeros((len(group), session.num_frames, 0), np.float32)
            if result.object_tokens is None
            else result.object_tokens
        )
        scores.append(result.object_scores)
    with stage(RULES):
        evidence = _evidence(source, kept, tracked, masklets)
    tracks = Tracks(
        video_id=video_id,
        expression_id=expression_id,
        object_tokens=np.concatenate(tokens),
        object_scores=np.concatenate(scores),
        masklets=tuple(masklets),
        prompts=tuple(tracked),
        size=session.size,
        evidence=evidence,
    )
    dropped = PromptCounts(duplicates=queue.num_duplicates, over_cap=queue.num_over_cap)
    return tracks, kept.counts + dropped


def _evidence(
    source: PromptSource, kept: KeptPrompts, tracked: list[Prompt], masklets: list[Masklet]
) -> DetectionEvidence | None:
    """None unless the prompts are a detector's scored answers to one sentence."""
    is_scored = all(prompt.token_scores for prompt in kept.prompts)
    if not source.is_by_expression or kept.frame_idxs is None or not is_scored:
        return None
    duplicate_iou = source.rule.duplicate_iou
    return detection_evidence(tracked, masklets, kept.prompts, kept.frame_idxs, duplicate_iou)


def refuse_nan(tracks: Tracks) -> None:
    """Make sure that every object token and score is a number.

    Raises:
        UserError: if one is NaN or infinite.
    """
    is_sound = np.isfinite(tracks.object_tokens).all(axis=-1) & np.isfinite(tracks.object_scores)
    if is_sound.all():
        return
    broken = np.argwhere(~is_sound)
    track, frame_idx = broken[0].tolist()
    prompted = tracks.prompts[track].frame_idx
    raise UserError(
        f"video {tracks.video_id}: track {track} (prompted on frame {prompted}) has an object "
        f"token or score that is NaN or infinite on frame {frame_idx}, one of {len(broken)} such. "
        f"Try trainer.precision=32-true."
    )
