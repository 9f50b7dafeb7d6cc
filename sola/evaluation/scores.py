"""Scores of every track of a video for every expression: computed once and saved."""

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from sola.config.progress import progress
from sola.evaluation.tracks import Candidates, TrackSources
from sola.types import Expression

FORMAT_VERSION = 1
TextTokens = Callable[[list[str]], Sequence[NDArray[np.float32]]]
"""Sentences -> their text tokens, (L, E) each; such as ``sola.text.TextTokens(...).tokens``."""


@dataclass(frozen=True)
class Scores:
    """Scores of all tracks for all expressions of a split, and what they came from."""

    by_expression: dict[tuple[str, str], NDArray[np.float32]]
    """(video id, expression id) -> (N,) in [0, 1], one score a track of the video."""
    tracks: dict[str, list[dict[str, Any]]]
    """Video id -> per track: its prompt source, its number there, frame and area of its prompt."""
    provenance: dict[str, Any] = field(default_factory=dict)
    """Names of what was scored by what."""

    def of(self, expression: Expression) -> NDArray[np.float32]:
        """(N,) scores of one expression.

        Raises:
            ValueError: if the expression has none.
        """
        key = (expression.video_id, expression.expression_id)
        if key not in self.by_expression:
            raise ValueError(f"no scores of video {key[0]}, expression {key[1]}; score it first")
        return self.by_expression[key]

    def save(self, path: Path) -> None:
        """Writes scores.json: complete or not at all."""
        expressions: dict[str, dict[str, list[float]]] = {video_id: {} for video_id in self.tracks}
        for (video_id, expression_id), scores in self.by_expression.items():
            expressions[video_id][expression_id] = scores.tolist()
        content = {
            "format_version": FORMAT_VERSION,
            "provenance": self.provenance,
            "videos": {
                video_id: {"tracks": self.tracks[video_id], "scores": scores}
                for video_id, scores in expressions.items()
            },
        }
        write_json(path, content)


def select(scores: NDArray[np.float32], threshold: float) -> frozenset[int]:
    """Indices of the tracks whose score is above the threshold."""
    return frozenset(np.flatnonzero(scores.astype(np.float64) > threshold).tolist())


def score_expressions(
    selector: nn.Module,
    text_tokens: TextTokens,
    sources: TrackSources,
    expressions: Sequence[Expression],
    *,
    batch_size: int = 16,
    provenance: Mapping[str, Any] | None = None,
) -> Scores:
    """Scores all tracks of every expression's video with a selector.

    Args:
        selector: a ``TrackSelector``, on the device to compute on; is put into evaluation mode.
        text_tokens: sentences -> text tokens.
        sources: tracks of the split.
        expressions: to score; a video without tracks gets (0,) scores.
        batch_size: expressions of one video scored together, which changes time and memory alone.
        provenance: kept with the scores.

    Returns:
        The scores, in the order of the expressions within a video.
    """
    selector.eval()
    by_expression: dict[tuple[str, str], NDArray[np.float32]] = {}
    tracks: dict[str, list[dict[str, Any]]] = {}
    videos = group_by_video(expressions)
    with progress("scoring", len(videos)) as advance:
        for video_id, of_video in videos.items():
            candidates = sources.read(video_id)
            tracks[video_id] = _describe(candidates)
            texts = text_tokens([expression.text for expression in of_video])
            scores = score_tracks(selector, candidates.object_tokens, texts, batch_size=batch_size)
            for expression, row in zip(of_video, scores, strict=True):
                by_expression[video_id, expression.expression_id] = row
            advance(f"{candidates.num_tracks} tracks x {len(of_video)} expressions")
    return Scores(by_expression, tracks, dict(provenance or {}))


@torch.inference_mode()
def score_tracks(
    selector: nn.Module,
    object_tokens: NDArray[np.float32],
    texts: Sequence[NDArray[np.float32]],
    *,
    batch_size: int = 16,
) -> NDArray[np.float32]:
    """Scores the tracks of one video for several sentences.

    Args:
        selector: a ``TrackSelector`` in evaluation mode.
        object_tokens: (N, T, D).
        texts: text tokens of B sentences, (L, E) each.
        batch_size: sentences a forward pass.

    Returns:
        (B, N) float32 in [0, 1].
    """
    num_tracks = object_tokens.shape[0]
    if num_tracks == 0 or not texts:
        return np.zeros((len(texts), num_tracks), dtype=np.float32)
    device = next(selector.parameters()).device
    tokens = torch.from_numpy(object_tokens)[None].to(device)  # (1, N, T, D): one video for all
    rows = []
    for start in range(0, len(texts), batch_size):
        text, text_mask = _pad(texts[start : start + batch_size])
        logits, _ = selector(tokens, text.to(device), text_mask=text_mask.to(device))
        rows.append(logits.float().sigmoid().cpu())
    return torch.cat(rows).numpy()


def group_by_video(expressions: Sequence[Expression]) -> dict[str, list[Expression]]:
    """Expressions by video, both in their first order."""
    videos: dict[str, list[Expression]] = {}
    for expression in expressions:
        videos.setdefault(expression.video_id, []).append(expression)
    return videos


def write_json(path: Path, content: Any) -> None:
    """Writes a JSON file under another name and renames it; NaN is refused."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(f".{os.getpid()}.part")
    unfinished.write_text(json.dumps(content, indent=1, allow_nan=False))
    unfinished.rename(path)


def _pad(texts: Sequence[NDArray[np.float32]]) -> tuple[Tensor, Tensor]:
    """(B, L, E) text tokens, zero behind each text's end, and (B, L) bool, True up to there."""
    tensors = [torch.from_numpy(np.asarray(text)) for text in texts]
    text = nn.utils.rnn.pad_sequence(tensors, batch_first=True)
    lengths = torch.tensor([len(tensor) for tensor in tensors])
    return text, torch.arange(text.shape[1])[None] < lengths[:, None]


def _describe(candidates: Candidates) -> list[dict[str, Any]]:
    """One entry a track; its number counts from 0 within its source."""
    return [
        {
            "source": source,
            "number": number,
            "prompt_frame": prompt.frame_idx,
            "prompt_area": prompt.area,
        }
        for source, prompts in groupby(candidates.prompts, key=lambda prompt: prompt.source)
        for number, prompt in enumerate(prompts)
    ]
