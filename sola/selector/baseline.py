"""BaselineSelector: the least that scores tracks by language, shown beside ours in every table."""

import torch
from torch import Tensor, nn

from sola.selector.base import Selector


class BaselineSelector(Selector):
    """Each track's mean object token, through an MLP, times the mean text token.

    It knows no other track, no order of frames and no negative tokens. Its logit is the dot product
    that the alignment loss draws to the label.

    Args:
        token_dim: D, width of an object token.
        text_dim: E, width of a text token.
        hidden_dim: width of the MLP's hidden layer; None: ``text_dim``.
        dropout: of the hidden layer.
    """

    def __init__(
        self,
        token_dim: int = 256,
        text_dim: int = 1024,
        *,
        hidden_dim: int | None = None,
        dropout: float = 0.2,
    ) -> None:
        super().__init__()
        width = hidden_dim or text_dim
        self.mlp = nn.Sequential(
            nn.Linear(token_dim, width),
            nn.LeakyReLU(),
            nn.Dropout(dropout),
            nn.Linear(width, text_dim),
        )

    def forward(
        self,
        tokens: Tensor,
        text: Tensor,
        track_mask: Tensor | None = None,
        frame_mask: Tensor | None = None,
        text_mask: Tensor | None = None,
        *,
        video_idx: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Scores all tracks of every sample, see ``Selector.forward``."""
        track_tokens = self.mlp(
            _mean(tokens, frame_mask[:, None] if frame_mask is not None else None)
        )
        if video_idx is not None:
            track_tokens = track_tokens[video_idx]
        track_tokens = track_tokens.expand(len(text), -1, -1)
        return torch.einsum("bne,be->bn", track_tokens, _mean(text, text_mask)), track_tokens


def _mean(tokens: Tensor, mask: Tensor | None) -> Tensor:
    """(..., S, C) -> (..., C), over what exists of S."""
    if mask is None:
        return tokens.sum(dim=-2) / max(tokens.shape[-2], 1)
    total = tokens.masked_fill(~mask[..., None], 0).sum(dim=-2)
    return total / mask.sum(dim=-1, keepdim=True).clamp(min=1)
