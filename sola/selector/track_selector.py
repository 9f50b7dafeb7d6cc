"""TrackSelector: scores every candidate track of a video against an expression."""

import math
from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sola.checks import at_least, between, one_of
from sola.errors import UserError
from sola.selector.alignment import AlignmentLayer, Language
from sola.selector.base import Selector
from sola.selector.motion import MotionEncoder
from sola.selector.packing import Layout, join, plan_layout, split
from sola.selector.reference import from_reference, to_reference

STRIDES = (2, 2, 2, 1, 1)
"""The paper's, of the motion encoder."""
TEXT_TOKENS = ("all", "words", "mean")
PAPERS_OPTIONS = {
    "motion_strides": list(STRIDES),
    "motion_gain": 1,
    "time_unit": 100,
    "normalise_tokens": False,
    "text_tokens": "all",
}


class TrackSelector(Selector):
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
        motion_strides: of the motion encoder's five blocks; fewer twos leave more time steps of
            short videos.
        motion_gain: what tokens differ from their track's mean over time is multiplied by it before
            the motion encoder; 1, the paper's network, leaves them as they are.
        time_unit: time unit of the temporal encoding, in frames after the motion encoder.
        normalise_tokens: every object token gets mean 0 and variance 1 over its channels first.
        text_tokens: what the network is given of the text: all its tokens, as the paper; the words,
            without the first and the last token, which are the tokenizer's own; or the mean alone.

    Raises:
        UserError: if heads or groups do not divide the widths, strides are not five, or an option
            has a value that is none of its own.
    """

    negative_tokens: nn.Parameter
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
        motion_strides: Sequence[int] = STRIDES,
        motion_gain: float = 1.0,
        time_unit: float = 100.0,
        normalise_tokens: bool = False,
        text_tokens: str = "all",
    ) -> None:
        super().__init__()
        _check_widths(token_dim, text_dim, num_heads, num_groups)
        _check_time(motion_strides, motion_gain, time_unit)
        one_of(TEXT_TOKENS, text_tokens=text_tokens)
        between(0, 1, dropout=dropout, attention_dropout=attention_dropout)
        at_least(0, num_layers=num_layers, num_negatives=num_negatives)
        self.time_unit = time_unit
        self.normalise_tokens, self.text_tokens = normalise_tokens, text_tokens
        self.motion_encoder = MotionEncoder(
            token_dim,
            text_dim,
            strides=motion_strides,
            gain=motion_gain,
            num_groups=num_groups,
            dropout=dropout,
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
        """Scores all tracks of every sample, see ``Selector.forward``.

        What comes before language is computed once a video.
        """
        layout = plan_layout(tokens, len(text), track_mask, frame_mask, video_idx)
        if not layout.blocks:
            shape = (len(text), tokens.shape[1])
            return text.new_zeros(shape), text.new_zeros(*shape, text.shape[2])
        language = self._language(*_choose_text(text, text_mask, self.text_tokens), layout)
        hidden = join([block.take(tokens) for block in layout.blocks])
        if self.normalise_tokens:
            hidden = F.layer_norm(hidden, hidden.shape[-1:])
        hidden, layout = self.motion_encoder(hidden, layout)
        encoding = self._temporal_encoding(max(block.num_frames for block in layout.blocks))
        for layer in self.layers:
            hidden = layer(hidden, layout, encoding, language)
            layout = layout.of_samples()
        pooled = _pool(hidden, layout, language.mean_token())
        return _unpack(pooled, layout, (len(text), tokens.shape[1]))

    def load_reference_state_dict(self, state_dict: Mapping[str, Tensor]) -> None:
        """Loads weights saved under the reference implementation's parameter names.

        Args:
            state_dict: a plain state dict, such as torch.load of its ``epoch_N.pth``.

        Raises:
            UserError: if names or shapes are not those of this network.
        """
        renamed = from_reference(state_dict, num_layers=len(self.layers))
        for name, tensor in self.state_dict().items():
            if renamed[name].shape != tensor.shape:
                raise UserError(
                    f"selector weights: {name} has shape {tuple(renamed[name].shape)}, this "
                    f"network needs {tuple(tensor.shape)}. Build it with the widths of the weights."
                )
        self.load_state_dict(renamed)

    def reference_state_dict(self) -> dict[str, Tensor]:
        """The weights under the reference implementation's parameter names.

        Raises:
            UserError: if the network has options that the names do not tell.
        """
        for name, papers in PAPERS_OPTIONS.items():
            if self.kwargs[name] != papers:
                raise UserError(
                    f"selector.{name} is {self.kwargs[name]}, the reference's network has "
                    f"{papers}: under its names these weights would give other scores."
                )
        return to_reference(self.state_dict(), num_layers=len(self.layers))

    def _temporal_encoding(self, num_frames: int) -> Tensor:
        """(T', E): sine and cosine of random frequencies."""
        frequencies = self.temporal_frequencies
        time = torch.arange(num_frames, device=frequencies.device, dtype=frequencies.dtype)
        angles = 2 * math.pi * (time / self.time_unit)[:, None] * frequencies
        return torch.cat([angles.sin(), angles.cos()], dim=-1)

    def _language(self, text: Tensor, text_mask: Tensor | None, layout: Layout) -> Language:
        """Text and negatives of the samples that have tracks, in the order of the blocks."""
        if layout.blocks[0].samples is not None:
            order = torch.cat(
                [block.samples for block in layout.blocks if block.samples is not None]
            )
            text = text[order]
            text_mask = None if text_mask is None else text_mask[order]
        if text_mask is not None:
            negatives = text_mask.new_ones(len(text_mask), len(self.negative_tokens))
            text_mask = torch.cat([text_mask, negatives], dim=1)
        return Language(text, self.negative_tokens, text_mask)


def _choose_text(
    text: Tensor, text_mask: Tensor | None, which: str
) -> tuple[Tensor, Tensor | None]:
    """The text tokens (B, L', E) that count, and which of them exist (B, L')."""
    if which == "all":
        return text, text_mask
    if text_mask is None:
        return (text[:, 1:-1], None) if which == "words" else (text.mean(1, keepdim=True), None)
    if which == "words":
        return text[:, 1:], F.pad(text_mask[:, 2:], (0, 1))
    total = (text * text_mask[:, :, None]).sum(dim=1, keepdim=True)
    return total / text_mask.sum(dim=1)[:, None, None], None


def _pool(hidden: Tensor, layout: Layout, mean_token: Tensor) -> list[tuple[Tensor, Tensor]]:
    """Logits (B, N) and track tokens (B, N, E) of each block's samples.

    The mean over tokens of dot products is the dot product with their mean. Mixed precision ends
    here: scores are sums of large terms.
    """
    blocks = split(hidden, layout.shapes)
    means = mean_token.split([block.num_samples for block in layout.blocks])
    pooled = []
    with torch.autocast(hidden.device.type, enabled=False):
        for tokens, mean in zip(blocks, means, strict=True):
            relevance = torch.einsum("bnte,be->bnt", tokens, mean)
            track_tokens = torch.einsum("bnt,bnte->bne", relevance.softmax(dim=-1), tokens)
            pooled.append((torch.einsum("bne,be->bn", track_tokens, mean), track_tokens))
    return pooled


def _unpack(
    pooled: list[tuple[Tensor, Tensor]], layout: Layout, shape: tuple[int, int]
) -> tuple[Tensor, Tensor]:
    """Logits (B, N) and track tokens (B, N, E) of the batch, zero where there is no track."""
    logits, track_tokens = pooled[0]
    if layout.blocks[0].tracks is None:
        return logits, track_tokens
    all_logits = logits.new_zeros(shape)
    all_tokens = track_tokens.new_zeros(*shape, track_tokens.shape[2])
    for block, (logits, track_tokens) in zip(layout.blocks, pooled, strict=True):
        block.put(logits, all_logits)
        block.put(track_tokens, all_tokens)
    return all_logits, all_tokens


def _check_widths(token_dim: int, text_dim: int, num_heads: int, num_groups: int) -> None:
    at_least(1, token_dim=token_dim, text_dim=text_dim, num_heads=num_heads, num_groups=num_groups)
    for name, value, divisor_name, divisor in (
        ("num_heads", num_heads, "text_dim", text_dim),
        ("num_groups", num_groups, "text_dim", text_dim),
        ("num_groups", num_groups, "2 * token_dim", 2 * token_dim),
    ):
        if divisor % value:
            raise UserError(f"{name}: must divide {divisor_name} ({divisor}), got {value}.")
    if text_dim % 2:
        raise UserError(f"text_dim: must be even, got {text_dim}.")


def _check_time(strides: Sequence[int], gain: float, time_unit: float) -> None:
    if len(strides) != len(STRIDES) or any(stride < 1 for stride in strides):
        raise UserError(
            f"motion_strides: must be {len(STRIDES)} integers of at least 1, such as the paper's "
            f"{list(STRIDES)}, got {list(strides)}."
        )
    for name, value in {"motion_gain": gain, "time_unit": time_unit}.items():
        if not 0 < value < math.inf:
            raise UserError(f"{name}: must be above 0, got {value}.")
