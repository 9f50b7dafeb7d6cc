"""Classes of a user's own, as a configuration names them: encoder, loss and selector."""

import zlib
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from sola.selector import Loss, Selector
from sola.selector.losses import LossInputs, SelectorOutputs
from sola.text import TextEncoder


def direction(name: str, width: int) -> NDArray[np.float32]:
    """A random vector, always the same for one name."""
    generator = np.random.default_rng(zlib.crc32(name.encode()))
    return generator.normal(size=width).astype(np.float32)


class LetterEncoder(TextEncoder):
    """One token per letter, without a network."""

    def encode(self, texts: Sequence[str]) -> dict[str, NDArray[np.float32]]:
        return {t: np.stack([direction(letter, self.dim) for letter in t]) for t in texts}


class ThreeTerms(Loss):
    """Mean squared error, mean score and mean size of the tokens, of the tracks that exist."""

    def __init__(self, score_weight: float = 0.5, size_weight: float = 0.25) -> None:
        self.weights = {"error": 1.0, "score": score_weight, "size": size_weight}

    def __call__(self, outputs: SelectorOutputs, inputs: LossInputs) -> dict[str, Tensor]:
        scores = outputs.logits.sigmoid()
        parts = {
            "error": (scores - inputs.labels).square(),
            "score": scores,
            "size": outputs.track_tokens.square().mean(dim=2),
        }
        mask = torch.ones_like(scores) if inputs.track_mask is None else inputs.track_mask
        count = mask.sum(dim=1).clamp(min=1)
        return {name: (part * mask).sum(dim=1) / count for name, part in parts.items()}


class FirstTokens(Selector):
    """A projection of each track's first object token, times the mean text token."""

    def __init__(self, token_dim: int, text_dim: int, *, scale: float = 1.0) -> None:
        super().__init__()
        self.scale = scale
        self.projection = nn.Linear(token_dim, text_dim)

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
        track_tokens = self.scale * self.projection(tokens[:, :, 0])
        if video_idx is not None:
            track_tokens = track_tokens[video_idx]
        track_tokens = track_tokens.expand(len(text), -1, -1)
        if text_mask is None:
            text_mask = torch.ones(text.shape[:2], dtype=torch.bool, device=text.device)
        mean_text = (text * text_mask[:, :, None]).sum(dim=1) / text_mask.sum(dim=1, keepdim=True)
        return (track_tokens * mean_text[:, None]).sum(dim=2), track_tokens
