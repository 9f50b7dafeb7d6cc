"""BaselineSelector: an MLP on mean tokens."""

import torch
from torch import Tensor, nn

from sola.selector.base import Selector, mean_of_existing


class BaselineSelector(Selector):
    """Scores a track by the dot product of its encoded mean object token with the mean text token.

    An MLP encodes the object token. The network ignores other tracks and the order of frames, and
    has no negative tokens. The alignment loss trains the same dot product.

    Args:
        token_dim: D, width of an object token.
        text_dim: E, width of a text token.
        hidden_dim: width of the MLP's hidden layer; None: ``text_dim``.
        dropout: dropout of the hidden layer.
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
        """Score all tracks of every sample, see ``Selector.forward``."""
        mask = None if frame_mask is None else frame_mask[:, None]
        track_tokens = self.mlp(mean_of_existing(tokens, mask))
        if video_idx is not None:
            track_tokens = track_tokens[video_idx]
        track_tokens = track_tokens.expand(len(text), -1, -1)
        mean_text = mean_of_existing(text, text_mask)
        return torch.einsum("bne,be->bn", track_tokens, mean_text), track_tokens
