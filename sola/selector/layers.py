"""Layers of the track selector: motion encoder, attention, alignment with language."""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

STD_EPS = 1e-5


class TokenGroupNorm(nn.GroupNorm):
    """Group normalisation with statistics over all tokens of a set and the channels of a group.

    It computes in the precision of its parameters, so in float32 under mixed precision.
    """

    def forward(self, tokens: Tensor) -> Tensor:
        """Normalise (A, S, C): A sets of S tokens."""
        # (A, S, C) -> (A, C, S, 1), which torch recognises as channels-last: nothing is copied
        channels_first = tokens.to(self.weight.dtype).unsqueeze(2).permute(0, 3, 1, 2)
        return super().forward(channels_first).permute(0, 2, 3, 1).squeeze(2)


class WeightStandardizedConv1d(nn.Conv1d):
    """Convolution over time whose output filters have mean 0 and standard deviation 1.

    The standard deviation is the unbiased one (Qiao et al. 2019, arXiv 1903.10520). Tracks have few
    frames and the filters are large, so it is computed as a matrix product of unfolded windows.
    """

    def forward(self, tokens: Tensor) -> Tensor:
        """Filter (A, T, C_in) into (A, T', C_out)."""
        kernel_size, padding = self.weight.shape[2], self.weight.shape[2] // 2
        # (A, T, C) -> (A, T', C, kernel)
        windows = F.pad(tokens, (0, 0, padding, padding)).unfold(1, kernel_size, self.stride[0])
        weight = self.weight.flatten(1)
        centred = weight - weight.mean(dim=1, keepdim=True)
        std = torch.linalg.vector_norm(centred, dim=1) / math.sqrt(weight.shape[1] - 1)
        return F.linear(windows.flatten(2), centred / (std + STD_EPS)[:, None], self.bias)


class MotionEncoder(nn.Module):
    """Short-term motion encoder: convolutions over the object tokens of each track.

    It returns fewer, wider tokens with temporal context.

    Args:
        token_dim: D, width of an object token.
        text_dim: E, width of a text token and of the result.
        strides: strides of the five blocks; each divides the number of frames, rounding up. The
            paper's (2, 2, 2, 1, 1) give T' = ceil(ceil(ceil(T / 2) / 2) / 2).
        gain: factor on the difference of a track's tokens from their mean over time; above 1 it
            amplifies changes over time.
        num_groups: number of groups of the normalisation.
        dropout: dropout after every block.
    """

    def __init__(
        self,
        token_dim: int,
        text_dim: int,
        *,
        strides: Sequence[int],
        gain: float,
        num_groups: int,
        dropout: float,
    ) -> None:
        super().__init__()
        self.gain = gain
        hidden_dim = 2 * token_dim
        widths = (token_dim, hidden_dim, hidden_dim, hidden_dim, text_dim, text_dim)
        self.blocks = nn.Sequential()
        for in_dim, out_dim, stride in zip(widths[:-1], widths[1:], strides, strict=True):
            block = nn.Sequential()
            block.conv = WeightStandardizedConv1d(in_dim, out_dim, 3, stride=stride)
            block.norm = TokenGroupNorm(num_groups, out_dim)
            block.activation = nn.LeakyReLU()
            block.dropout = nn.Dropout(dropout)
            self.blocks.append(block)
        self.output = WeightStandardizedConv1d(text_dim, text_dim, 1)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return the motion tokens (R, N, T', E) of object tokens (R, N, T, D)."""
        hidden = tokens.flatten(0, 1)
        if self.gain != 1:
            mean = hidden.mean(dim=1, keepdim=True)
            hidden = mean + self.gain * (hidden - mean)
        return self.output(self.blocks(hidden)).unflatten(0, tokens.shape[:2])


class Attention(nn.Module):
    """Multi-head attention with projections of query, key, value and output."""

    def __init__(self, dim: int, *, num_heads: int, dropout: float) -> None:
        super().__init__()
        self.num_heads, self.dropout = num_heads, dropout
        self.query = nn.Linear(dim, dim)
        self.key = nn.Linear(dim, dim)
        self.value = nn.Linear(dim, dim)
        self.output = nn.Linear(dim, dim)

    def forward(self, queries: Tensor, values: Tensor) -> Tensor:
        """Apply self-attention within A sets; queries and keys are the same tokens.

        Args:
            queries: (A, S, E), also used as keys.
            values: (A, S, E).

        Returns:
            (A, S, E).
        """
        return self.attend(self.query(queries), self.key(queries), self.value(values))

    def attend(
        self, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None
    ) -> Tensor:
        """Apply attention between projected tokens, see ``attend``."""
        dropout = self.dropout if self.training else 0.0
        mixed = attend(query, key, value, mask, num_heads=self.num_heads, dropout=dropout)
        return self.output(mixed)


def attend(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor | None,
    *,
    num_heads: int,
    dropout: float = 0.0,
) -> Tensor:
    """Return the weighted mean of values for each query.

    Args:
        query: (A, S, E).
        key: (A, K, E).
        value: (A, K, E).
        mask: (A, K) bool, False for padded keys; None: no padding.
        num_heads: must divide E.
        dropout: dropout of the attention weights.

    Returns:
        (A, S, E).
    """
    # (A, S, E) -> (A, heads, S, E / heads)
    shape = (num_heads, -1)
    query, key, value = (x.unflatten(-1, shape).transpose(1, 2) for x in (query, key, value))
    attn_mask = None if mask is None else mask[:, None, None]
    mixed = F.scaled_dot_product_attention(query, key, value, attn_mask, dropout)
    return mixed.transpose(1, 2).flatten(2)


class AlignmentLayer(nn.Module):
    """Attention between tracks, over time and to language, each with residual and normalisation.

    Args:
        dim: E, width of all tokens.
        num_heads: heads of each attention; must divide E.
        num_groups: groups of the normalisations; must divide E.
        dropout: dropout of the attention weights.
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
        self, tokens: Tensor, encoding: Tensor, language: Tensor, mask: Tensor | None
    ) -> Tensor:
        """Return the tokens of every sample, aligned with its expression.

        Args:
            tokens: (R, N, T', E) motion tokens of R videos, each with B / R samples.
            encoding: (T', E) temporal encoding.
            language: (B, L + K, E) text and negative tokens of each sample.
            mask: (B, L + K) bool, False for padding; None: no padding.

        Returns:
            (B, N, T', E).
        """
        num_rows, num_tracks, num_frames = tokens.shape[:3]
        # attend among the tracks of each frame: (R, N, T, E) -> (R * T, N, E)
        hidden = tokens.transpose(1, 2).flatten(0, 1)
        hidden = self.track_norm(hidden + self.track_attention(hidden, hidden))
        # attend among the frames of each track: (R * T, N, E) -> (R * N, T, E)
        hidden = hidden.unflatten(0, (num_rows, num_frames)).transpose(1, 2).flatten(0, 1)
        hidden = self.time_norm(hidden + self.time_attention(hidden + encoding, hidden))
        # attend from all tokens of a sample to language: (R * N, T, E) -> (R, N * T, E)
        hidden = hidden.unflatten(0, (num_rows, num_tracks)).flatten(1, 2)
        attention = self.language_attention
        # (R, ...) of videos -> (B, ...) of samples
        query, hidden = (
            tensor[:, None].expand(-1, len(language) // num_rows, -1, -1).flatten(0, 1)
            for tensor in (attention.query(hidden), hidden)
        )
        aligned = attention.attend(query, attention.key(language), attention.value(language), mask)
        hidden = hidden + aligned
        return self.language_norm(hidden).unflatten(1, (num_tracks, num_frames))
