"""Alignment layers: tracks look at each other, along time, and at the expression."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sola.selector.normalization import TokenGroupNorm


@dataclass(frozen=True)
class Language:
    """The text side of a batch, as the alignment layers read it."""

    text: Tensor
    """(B, L, E) text tokens."""
    negatives: Tensor
    """(K, E) learned negative tokens, the same for every sample."""
    mask: Tensor | None = None
    """(B, L + K) bool, text tokens and negatives that exist; None: nothing is padding."""
    video_idx: Tensor | None = None
    """(B,) long, the video of each sample; None: one video a sample, or one for all."""

    def spread(self, per_video: Tensor) -> Tensor:
        """One row a sample, from one row a video."""
        if self.video_idx is not None:
            return per_video.index_select(0, self.video_idx)
        return per_video.expand(len(self.text), *per_video.shape[1:])

    def mean_token(self) -> Tensor:
        """(B, E), the mean over text and negative tokens."""
        if self.mask is None:
            total = self.text.sum(dim=1) + self.negatives.sum(dim=0)
            return total / (self.text.shape[1] + len(self.negatives))
        text_mask = self.mask[:, : self.text.shape[1], None]
        total = (self.text * text_mask).sum(dim=1) + self.negatives.sum(dim=0)
        return total / self.mask.sum(dim=1, keepdim=True)


@dataclass(frozen=True)
class TrackMasks:
    """What exists of a padded batch of tracks; None: nothing is padding."""

    track: Tensor | None = None
    """(B, N) bool."""
    frame: Tensor | None = None
    """(B, T') bool, after the motion encoder's strides."""

    def tokens(self, num_tracks: int, num_frames: int) -> Tensor | None:
        """(B, N * T') bool, or None when neither tracks nor frames are padded."""
        if self.track is None:
            return None if self.frame is None else self.frame.repeat(1, num_tracks)
        tokens = self.track.repeat_interleave(num_frames, dim=1)
        return tokens if self.frame is None else tokens & self.frame.repeat(1, num_tracks)

    def tracks_of_frames(self, num_frames: int) -> Tensor | None:
        """(B * T', N) bool: the tracks of every frame."""
        return None if self.track is None else self.track.repeat_interleave(num_frames, dim=0)

    def frames_of_tracks(self, num_tracks: int) -> Tensor | None:
        """(B * N, T') bool: the frames of every track."""
        return None if self.frame is None else self.frame.repeat_interleave(num_tracks, dim=0)

    def spread(self, language: Language) -> "TrackMasks":
        """Masks of samples, from masks of videos."""
        return TrackMasks(
            None if self.track is None else language.spread(self.track),
            None if self.frame is None else language.spread(self.frame),
        )


class Attention(nn.Module):
    """Multi-head attention with a projection for each of query, key, value and output."""

    def __init__(self, dim: int, *, num_heads: int, dropout: float) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.dropout = dropout
        self.query = nn.Linear(dim, dim)
        self.key = nn.Linear(dim, dim)
        self.value = nn.Linear(dim, dim)
        self.output = nn.Linear(dim, dim)

    def forward(self, queries: Tensor, values: Tensor, key_mask: Tensor | None) -> Tensor:
        """Self-attention in which queries and keys are the same tokens.

        Args:
            queries: (R, S, E), also the keys.
            values: (R, S, E).
            key_mask: (R, S) bool, True for tokens that may be looked at.

        Returns:
            (R, S, E).
        """
        mask = None if key_mask is None else key_mask[:, None]
        return self.attend(self.query(queries), self.key(queries), self.value(values), mask)

    def attend(self, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None) -> Tensor:
        """Attention between projected tokens.

        Args:
            query: (R, S, E).
            key: (R, K, E).
            value: (R, K, E).
            mask: (R, S or 1, K) bool; a row without any True is treated as all True.

        Returns:
            (R, S, E), projected.
        """
        if mask is not None:
            mask = (mask | ~mask.any(dim=-1, keepdim=True))[:, None]
        attended = F.scaled_dot_product_attention(
            self._heads(query),
            self._heads(key),
            self._heads(value),
            attn_mask=mask,
            dropout_p=self.dropout if self.training else 0.0,
        )
        return self.output(attended.transpose(1, 2).flatten(2))

    def _heads(self, tokens: Tensor) -> Tensor:
        # (R, S, E) -> (R, heads, S, E / heads)
        return tokens.unflatten(-1, (self.num_heads, -1)).transpose(1, 2)


class AlignmentLayer(nn.Module):
    """Attention between tracks, over time and to language, each with residual and normalisation.

    Args:
        dim: E, width of all tokens.
        num_heads: heads of each attention; must divide E.
        num_groups: groups of the normalisations; must divide E.
        dropout: of the attention weights.
    """

    def __init__(self, dim: int, *, num_heads: int, num_groups: int, dropout: float) -> None:
        super().__init__()
        self.track_attention = Attention(dim, num_heads=num_heads, dropout=dropout)
        self.track_norm = TokenGroupNorm(num_groups, dim)
        self.time_attention = Attention(dim, num_heads=num_heads, dropout=dropout)
        self.time_norm = TokenGroupNorm(num_groups, dim)
        self.language_attention = Attention(dim, num_heads=num_heads, dropout=dropout)
        self.language_norm = TokenGroupNorm(num_groups, dim)

    def forward(
        self, tokens: Tensor, encoding: Tensor, language: Language, masks: TrackMasks
    ) -> Tensor:
        """Tokens of every sample, aligned with its expression.

        Args:
            tokens: (V, N, T', E), motion tokens of V videos.
            encoding: (T', E), temporal encoding.
            language: text of B samples; V is B, or 1, or given by ``language.video_idx``.
            masks: of the V videos.

        Returns:
            (B, N, T', E).
        """
        num_videos, num_tracks, num_frames, dim = tokens.shape
        tokens = tokens.transpose(1, 2).reshape(-1, num_tracks, dim)  # (V * T', N, E)
        mask = masks.tracks_of_frames(num_frames)
        tokens = self.track_norm(tokens + self.track_attention(tokens, tokens, mask), mask)

        tokens = tokens.unflatten(0, (num_videos, num_frames)).transpose(1, 2)
        tokens = tokens.reshape(-1, num_frames, dim)  # (V * N, T', E)
        mask = masks.frames_of_tracks(num_tracks)
        attended = self.time_attention(tokens + encoding, tokens, mask)
        tokens = self.time_norm(tokens + attended, mask)

        tokens = tokens.reshape(num_videos, num_tracks * num_frames, dim)
        mask = masks.tokens(num_tracks, num_frames)
        tokens = self._look_at_language(tokens, language, mask)
        return tokens.unflatten(1, (num_tracks, num_frames))

    def _look_at_language(self, tokens: Tensor, language: Language, mask: Tensor | None) -> Tensor:
        attention = self.language_attention
        attended = attention.attend(
            language.spread(attention.query(tokens)),
            _project(attention.key, language),
            _project(attention.value, language),
            None if language.mask is None else language.mask[:, None],
        )
        mask = None if mask is None else language.spread(mask)
        return self.language_norm(language.spread(tokens) + attended, mask)


def _project(projection: nn.Linear, language: Language) -> Tensor:
    """(B, L + K, E); the negatives, the same for every sample, are projected once."""
    text, negatives = projection(language.text), projection(language.negatives)
    return torch.cat([text, negatives.expand(len(text), -1, -1)], dim=1)
