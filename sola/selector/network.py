"""TrackSelector: scores every candidate track of a video against an expression."""

import dataclasses
import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from sola.selector.alignment import AlignmentLayer, Language, TrackMasks
from sola.selector.motion import MotionEncoder, strided_frame_mask
from sola.selector.reference import from_reference, to_reference

FRAMES_PER_UNIT = 100
"""The temporal encoding counts time in hundreds of frames."""


class TrackSelector(nn.Module):
    """Language-aligned track selection (SOLA, arXiv 2412.01136, section 3.3).

    With the default arguments it has 32,980,480 parameters. A score depends on the video's own
    tracks and its own expression only: not on padding, nor on what else is in the batch.

    Args:
        token_dim: D, width of an object token.
        text_dim: E, width of a text token and of everything behind the motion encoder.
        num_layers: alignment layers.
        num_negatives: learned negative tokens appended to the text.
        num_heads: of every attention; must divide ``text_dim``.
        num_groups: of every group normalisation; must divide ``2 * token_dim`` and ``text_dim``.
        dropout: of the motion encoder.
        attention_dropout: of the attention weights.

    Raises:
        ValueError: if heads or groups do not divide the widths.
    """

    temporal_frequencies: Tensor

    def __init__(
        self,
        token_dim: int = 256,
        text_dim: int = 1024,
        num_layers: int = 2,
        num_negatives: int = 32,
        num_heads: int = 8,
        *,
        num_groups: int = 8,
        dropout: float = 0.2,
        attention_dropout: float = 0.1,
    ) -> None:
        super().__init__()
        self.kwargs: dict[str, int | float] = {
            "token_dim": token_dim,
            "text_dim": text_dim,
            "num_layers": num_layers,
            "num_negatives": num_negatives,
            "num_heads": num_heads,
            "num_groups": num_groups,
            "dropout": dropout,
            "attention_dropout": attention_dropout,
        }
        _check_widths(token_dim, text_dim, num_heads, num_groups)
        self.motion_encoder = MotionEncoder(
            token_dim, text_dim, num_groups=num_groups, dropout=dropout
        )
        self.layers = nn.ModuleList(
            AlignmentLayer(
                text_dim, num_heads=num_heads, num_groups=num_groups, dropout=attention_dropout
            )
            for _ in range(num_layers)
        )
        self.negative_tokens = nn.Parameter(torch.randn(num_negatives, text_dim))
        self.register_buffer("temporal_frequencies", torch.randn(text_dim // 2))

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
        """Scores all tracks of every sample.

        Several expressions about one video can share its tokens: give V videos and B expressions,
        with V = 1, or with ``video_idx``. What comes before language is then computed V times.

        Args:
            tokens: (V, N, T, D), object tokens; V is B, 1, or what ``video_idx`` points into.
            text: (B, L, E), text tokens.
            track_mask: (V, N) bool, True for tracks that exist; None: all.
            frame_mask: (V, T) bool, True up to the video's end; None: all.
            text_mask: (B, L) bool, True for text tokens that exist; None: all.
            video_idx: (B,) long, the video of every sample.

        Returns:
            Logits (B, N), of which the sigmoid is the score, and track tokens (B, N, E). Rows of
            tracks that do not exist are finite and mean nothing; N may be 0.
        """
        num_videos, num_tracks, num_frames, token_dim = tokens.shape
        if num_tracks == 0 or len(text) == 0:
            shape = (len(text), num_tracks)
            return text.new_zeros(shape), text.new_zeros(*shape, text.shape[2])
        rows_mask = None
        if frame_mask is not None:
            rows_mask = frame_mask.repeat_interleave(num_tracks, dim=0)
            frame_mask = strided_frame_mask(frame_mask)
        hidden = self.motion_encoder(tokens.reshape(-1, num_frames, token_dim), rows_mask)
        hidden = hidden.unflatten(0, (num_videos, num_tracks))  # (V, N, T', E)

        language = Language(text, self.negative_tokens, self._language_mask(text_mask), video_idx)
        masks = TrackMasks(track_mask, frame_mask)
        encoding = self._temporal_encoding(hidden.shape[2]).to(hidden.dtype)
        for layer in self.layers:
            hidden = layer(hidden, encoding, language, masks)
            # behind the first layer there is one row a sample
            masks = masks.spread(language)
            language = dataclasses.replace(language, video_idx=None)
        return _pool(hidden, language.mean_token(), masks.frame)

    def load_reference_state_dict(self, state_dict: Mapping[str, Tensor]) -> None:
        """Loads weights saved under the reference implementation's parameter names.

        Args:
            state_dict: a plain state dict, such as torch.load of its ``epoch_N.pth``.

        Raises:
            ValueError: if names or shapes are not those of this network.
        """
        renamed = from_reference(state_dict, num_layers=len(self.layers))
        for name, tensor in self.state_dict().items():
            if renamed[name].shape != tensor.shape:
                raise ValueError(
                    f"selector weights: {name} has shape {tuple(renamed[name].shape)}, this "
                    f"network needs {tuple(tensor.shape)}. Build it with the widths of the weights."
                )
        self.load_state_dict(renamed)

    def reference_state_dict(self) -> dict[str, Tensor]:
        """The weights under the reference implementation's parameter names."""
        return to_reference(self.state_dict(), num_layers=len(self.layers))

    def _temporal_encoding(self, num_frames: int) -> Tensor:
        """(T', E): sine and cosine of random frequencies."""
        frequencies = self.temporal_frequencies
        time = torch.arange(num_frames, device=frequencies.device, dtype=frequencies.dtype)
        angles = 2 * math.pi * (time / FRAMES_PER_UNIT)[:, None] * frequencies
        return torch.cat([angles.sin(), angles.cos()], dim=-1)

    def _language_mask(self, text_mask: Tensor | None) -> Tensor | None:
        if text_mask is None:
            return None
        negatives = text_mask.new_ones(len(text_mask), len(self.negative_tokens))
        return torch.cat([text_mask, negatives], dim=1)


def _pool(hidden: Tensor, mean_token: Tensor, frame_mask: Tensor | None) -> tuple[Tensor, Tensor]:
    """Logits (B, N) and track tokens (B, N, E) of (B, N, T', E) tokens.

    The mean over tokens of dot products is the dot product with their mean.
    """
    relevance = torch.einsum("bnte,be->bnt", hidden, mean_token)
    if frame_mask is not None:
        lowest = torch.finfo(relevance.dtype).min
        relevance = relevance.masked_fill(~frame_mask[:, None], lowest)
    track_tokens = torch.einsum("bnt,bnte->bne", relevance.softmax(dim=-1), hidden)
    return torch.einsum("bne,be->bn", track_tokens, mean_token), track_tokens


def _check_widths(token_dim: int, text_dim: int, num_heads: int, num_groups: int) -> None:
    needs = {
        f"selector.text_dim {text_dim} by selector.num_heads {num_heads}": text_dim % num_heads,
        f"selector.text_dim {text_dim} by selector.num_groups {num_groups}": text_dim % num_groups,
        f"selector.text_dim {text_dim} by 2": text_dim % 2,
        f"twice selector.token_dim {token_dim} by selector.num_groups {num_groups}": (
            2 * token_dim % num_groups
        ),
    }
    for need, remainder in needs.items():
        if remainder:
            raise ValueError(f"{need}: must divide without remainder. Choose another number.")
