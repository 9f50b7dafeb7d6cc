"""One video: find its prompts, or read those found before, and make all tracks of them."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
import torch

from sola.generation.recipe import Recipe
from sola.masks import decode
from sola.metrics import count_pixels, detection_evidence
from sola.prompts import KeptPrompts, PromptedVideo, PromptQueue, PromptSource
from sola.shards import PromptStore
from sola.trackers.stages import FILES, stage
from sola.types import DetectionEvidence, FoundPrompts, Masklet, Prompt, Tracks


class PromptFinder:
    """Finds prompts of videos; they are stored before any cap or threshold drops some of them."""

    def __init__(self, recipe: Recipe, store: PromptStore) -> None:
        """Take a source to videos.

        Args:
            recipe: has the prompt source; opened when the first prompts are searched.
            store: of prompts that were found before, and will be.
        """
        self.recipe, self.store = recipe, store
        self._is_open = False

    def find(
        self, video: PromptedVideo, texts: Sequence[str], device: torch.device
    ) -> dict[str, KeptPrompts]:
        """Return the prompts to track, by text.

        Args:
            video: the video.
            texts: as for ``PromptSource.find``, possibly with repetitions.
            device: of the source's networks.
        """
        source, wanted = self.recipe.source, tuple(dict.fromkeys(texts))
        frame_idxs = tuple(map(int, source.frame_idxs(video)))
        found, threshold = None, source.found_threshold
        if source.is_kept:
            with stage(FILES):
                found = self.store.read(video.video_id, video.size, frame_idxs, wanted, threshold)
        if found is None:
            if not self._is_open:
                self.recipe.open_source(device)
                self._is_open = True
            searched = source.find(video, frame_idxs, wanted)
            by_text = {text: tuple(searched[text]) for text in wanted}
            found = FoundPrompts(video.size, frame_idxs, threshold, by_text)
            if source.is_kept:
                with stage(FILES):
                    self.store.write(video.video_id, found)
        return {text: source.keep(prompts) for text, prompts in found.by_text.items()}


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
    tracks = Tracks(
        video_id=video.video_id,
        expression_id=expression_id,
        object_tokens=np.concatenate(tokens).reshape(len(tracked), num_frames, token_dim or 0),
        object_scores=np.concatenate(scores),
        masklets=tuple(masklets),
        prompts=tuple(tracked),
        size=video.size,
        labels=count_pixels(masklets, video.ground_truth, num_frames) if has_labels else None,
        evidence=_evidence(video, kept, source, tracked, masklets),
    )
    dropped = Counter(duplicates=queue.num_duplicates, over_cap=queue.num_over_cap)
    return tracks, kept.counts + dropped


def _evidence(
    video: PromptedVideo,
    kept: KeptPrompts,
    source: PromptSource,
    tracked: list[Prompt],
    masklets: list[Masklet],
) -> DetectionEvidence | None:
    """None unless the prompts are a detector's scored answers to one sentence."""
    is_scored = all(prompt.token_scores for prompt in kept.prompts)
    if not source.is_by_expression or not is_scored:
        return None
    frame_idxs, duplicate_iou = tuple(source.frame_idxs(video)), source.rule.duplicate_iou
    return detection_evidence(tracked, masklets, kept.prompts, frame_idxs, duplicate_iou)
