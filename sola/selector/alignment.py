"""Alignment layers: tracks look at each other, along time, and at the expression."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sola.selector.normalization import TokenGroupNorm
from sola.selector.packing import Layout, Shapes, join, split


@dataclass(frozen=True)
class Language:
    """The text side of a batch, as the alignment layers read it."""

    text: Tensor
    """(B, L, E) text tokens, in the order of the layout's blocks."""
    negatives: Tensor
    """(K, E) learned negative tokens, the same for every sample."""
    mask: Tensor | None = None
    """(B, L + K) bool, text tokens and negatives that exist; None: nothing is padding."""

    def mean_token(self) -> Tensor:
        """(B, E), the mean over text and negative tokens."""
        if self.mask is None:
            total = self.text.sum(dim=1) + self.negatives.sum(dim=0)
            return total / (self.text.shape[1] + len(self.negatives))
        text_mask = self.mask[:, : self.text.shape[1], None]
        total = (self.text * text_mask).sum(dim=1) + self.negatives.sum(dim=0)
        return total / self.mask.sum(dim=1, keepdim=True)


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

    def forward(self, queries: Tensor, values: Tensor, sets: Shapes) -> Tensor:
        """Self-attention within every set, in which queries and keys are the same tokens.

        Args:
            queries: (S, E), packed, also the keys.
            values: (S, E), packed.
            sets: (A, S) of each block.

        Returns:
            (S, E), packed.
        """
        projected = self.query(queries), self.key(queries), self.value(values)
        blocks = zip(*(split(tokens, sets) for tokens in projected), strict=True)
        return self.output(join([self.attend(*block) for block in blocks]))

    def attend(
        self, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None
    ) -> Tensor:
        """Attention between projected tokens, its own output projection left out.

        Args:
            query: (A, S, E).
            key: (A, K, E).
            value: (A, K, E).
            mask: (A, K) bool, keys that exist; None: all.

        Returns:
            (A, S, E).
        """
        attended = F.scaled_dot_product_attention(
            self._heads(query),
            self._heads(key),
            self._heads(value),
            attn_mask=None if mask is None else mask[:, None, None],
            dropout_p=self.dropout if self.training else 0.0,
        )
        return attended.transpose(1, 2).flatten(2)

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
        self, tokens: Tensor, layout: Layout, encoding: Tensor, language: Language
    ) -> Tensor:
        """Tokens of every sample, aligned with its expression.

        Args:
            tokens: (S, E), packed motion tokens, one row a video or one a sample.
            layout: of the tokens.
            encoding: (T', E), temporal encoding of the longest block.
            language: text of the B samples.

        Returns:
            (S', E), packed, in the layout ``layout.of_samples()``.
        """
        tokens = layout.frame_major(tokens)
        attended = self.track_attention(tokens, tokens, layout.frames)
        tokens = _normalise(self.track_norm, tokens + attended, layout.frames)

        tokens = layout.track_major(tokens)
        timed = [block + encoding[: block.shape[1]] for block in split(tokens, layout.tracks)]
        attended = self.time_attention(join(timed), tokens, layout.tracks)
        tokens = _normalise(self.time_norm, tokens + attended, layout.tracks)
        return self._look_at_language(tokens, layout, language)

    def _look_at_language(self, tokens: Tensor, layout: Layout, language: Language) -> Tensor:
        attention = self.language_attention
        samples = [block.num_samples for block in layout.blocks]
        queries = split(attention.query(tokens), layout.rows)
        keys = _project(attention.key, language).split(samples)
        values = _project(attention.value, language).split(samples)
        masks = _split_or_none(language.mask, samples)
        attended = [
            attention.attend(block.spread(query), key, value, mask)
            for block, query, key, value, mask in zip(
                layout.blocks, queries, keys, values, masks, strict=True
            )
        ]
        output = split(attention.output(join(attended)), layout.of_samples().rows)
        return join(
            [
                self.language_norm(block.spread(own) + added)
                for block, own, added in zip(
                    layout.blocks, split(tokens, layout.rows), output, strict=True
                )
            ]
        )


def _normalise(norm: TokenGroupNorm, tokens: Tensor, sets: Shapes) -> Tensor:
    return join([norm(block) for block in split(tokens, sets)])


def _project(projection: nn.Linear, language: Language) -> Tensor:
    """(B, L + K, E); the negatives, the same for every sample, are projected once."""
    text, negatives = projection(language.text), projection(language.negatives)
    return torch.cat([text, negatives.expand(len(text), -1, -1)], dim=1)


def _split_or_none(mask: Tensor | None, sizes: Sequence[int]) -> Sequence[Tensor | None]:
    return [None] * len(sizes) if mask is None else mask.split(list(sizes))
