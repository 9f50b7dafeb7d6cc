"""TrackSelector, the network of SOLA that scores candidate tracks against an expression."""

import math
from collections.abc import Mapping, Sequence
from itertools import product

import torch
from torch import Tensor, nn

from sola.checks import above, at_least, between
from sola.errors import UserError
from sola.selector.base import Layout, Selector, mean_of_existing, plan_layout
from sola.selector.layers import AlignmentLayer, MotionEncoder

STRIDES = (2, 2, 2, 1, 1)
"""Strides of the paper's motion encoder."""
TIME_UNIT = 100
"""Time unit of the temporal encoding, in frames after the motion encoder."""
# names of the published implementation, see reference_names
BLOCK_STRIDE = 4
"""Modules per block of its ``nn.Sequential``: convolution, normalisation, activation, dropout."""
FREQUENCIES = "positional_encoding_gaussian_matrix"
ATTENTIONS = {
    "obj_attn": "track_attention",
    "motion_attn": "time_attention",
    "object2lang_attn": "language_attention",
}
PROJECTIONS = {"q_proj": "query", "k_proj": "key", "v_proj": "value", "out_proj": "output"}
NORMS = ("track_norm", "time_norm", "language_norm")


class TrackSelector(Selector):
    """Language-aligned track selection (SOLA, arXiv 2412.01136, section 3.3).

    With the default arguments it has 32,980,480 parameters. A score depends only on the tracks of
    its video and on its expression, not on padding or on the rest of the batch.

    Args:
        token_dim: D, width of an object token.
        text_dim: E, width of a text token and of all layers after the motion encoder.
        num_layers: number of alignment layers.
        num_negatives: number of learned negative tokens appended to the text.
        num_heads: heads of every attention; must divide ``text_dim``.
        num_groups: groups of every group normalisation; must divide ``2 * token_dim`` and
            ``text_dim``.
        dropout: dropout of the motion encoder.
        attention_dropout: dropout of the attention weights.
        motion_strides: strides of the motion encoder's five blocks; fewer twos keep more time steps
            of short videos.
        motion_gain: factor on the difference of tokens from their track's mean over time, before
            the motion encoder; 1 in the paper's network.

    Raises:
        UserError: if heads or groups do not divide the widths, strides are not five, or a value is
            out of range.
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
    ) -> None:
        super().__init__()
        at_least(1, token_dim=token_dim, text_dim=text_dim, num_layers=num_layers)
        at_least(1, num_heads=num_heads, num_groups=num_groups)
        at_least(0, num_negatives=num_negatives)
        above(0, motion_gain=motion_gain)
        between(0, 1, dropout=dropout, attention_dropout=attention_dropout)
        _check_divides("num_heads", num_heads, text_dim=text_dim)
        _check_divides("num_groups", num_groups, text_dim=text_dim, twice_token_dim=2 * token_dim)
        if text_dim % 2:
            raise UserError(f"text_dim: must be even, got {text_dim}.")
        if len(motion_strides) != len(STRIDES) or min(motion_strides) < 1:
            found = list(motion_strides)
            raise UserError(f"motion_strides: must be five integers of at least 1, got {found}.")
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
        layout: Layout | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Score all tracks of every sample, see ``Selector.forward``.

        Videos of equal shape are scored together, so nothing is computed for padding. Computation
        that does not depend on the text runs once per video.
        """
        negatives = self.negative_tokens.expand(len(text), -1, -1)
        language, mask = torch.cat([text, negatives], dim=1), None
        if text_mask is not None:
            mask = torch.cat([text_mask, text_mask.new_ones(negatives.shape[:2])], dim=1)
        # zero for padding
        logits = text.new_zeros(len(text), tokens.shape[1])
        track_tokens = text.new_zeros(*logits.shape, text.shape[2])
        if layout is None:
            layout = plan_layout(tokens, len(text), track_mask, frame_mask, video_idx)
        for num_frames, videos, tracks, by_video in layout.groups():
            samples = by_video.flatten()
            own_mask = None if mask is None else mask[samples]
            own_tokens = tokens[videos, tracks, :num_frames]
            own = self._score(own_tokens, language[samples], own_mask)
            tracks = tracks.repeat_interleave(by_video.shape[1], dim=0)
            logits[samples[:, None], tracks], track_tokens[samples[:, None], tracks] = own
        return logits, track_tokens

    def _score(
        self, tokens: Tensor, language: Tensor, mask: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Return logits (B, N) and track tokens (B, N, E) of R videos, each with B / R samples.

        Args:
            tokens: (R, N, T, D) object tokens.
            language: (B, L + K, E) text and negative tokens.
            mask: (B, L + K) bool, False for padding; None: no padding.
        """
        hidden = self.motion_encoder(tokens)
        encoding = self._temporal_encoding(hidden.shape[2])
        for layer in self.layers:
            hidden = layer(hidden, encoding, language, mask)
        # the mean over language tokens of dot products is the dot product with their mean; mixed
        # precision ends here, as scores are sums of large terms
        mean = mean_of_existing(language, mask)
        with torch.autocast(hidden.device.type, enabled=False):
            relevance = torch.einsum("bnte,be->bnt", hidden, mean)
            track_tokens = torch.einsum("bnt,bnte->bne", relevance.softmax(dim=-1), hidden)
            return torch.einsum("bne,be->bn", track_tokens, mean), track_tokens

    def load_reference_state_dict(self, state_dict: Mapping[str, Tensor]) -> None:
        """Load weights saved under the reference implementation's parameter names.

        Args:
            state_dict: a plain state dict, such as torch.load of its ``epoch_N.pth``; names may
                start with "module.".

        Raises:
            UserError: if names or shapes do not match this network.
        """
        names, weights = reference_names(len(self.layers)), {}
        for name, tensor in state_dict.items():
            theirs = name.removeprefix("module.")
            ours = names.get(theirs, theirs)
            weights[ours] = tensor.flatten() if ours == "temporal_frequencies" else tensor
        self.load_weights(weights, "selector weights")

    def _temporal_encoding(self, num_frames: int) -> Tensor:
        """Return the temporal encoding (T', E): sines and cosines of random frequencies."""
        frequencies = self.temporal_frequencies
        time = torch.arange(num_frames, device=frequencies.device, dtype=frequencies.dtype)
        angles = 2 * math.pi * (time / TIME_UNIT)[:, None] * frequencies
        return torch.cat([angles.sin(), angles.cos()], dim=-1)


def reference_names(num_layers: int) -> dict[str, str]:
    """Return the reference's name -> our name of every parameter and buffer."""
    modules = {f"short_motion_encoder.{len(STRIDES) * BLOCK_STRIDE}": "motion_encoder.output"}
    for block in range(len(STRIDES)):
        for offset, ours in enumerate(("conv", "norm")):
            theirs = f"short_motion_encoder.{block * BLOCK_STRIDE + offset}"
            modules[theirs] = f"motion_encoder.blocks.{block}.{ours}"
    for layer in range(num_layers):
        theirs, ours = f"object_lang_align_layers.{layer}", f"layers.{layer}"
        for (their_attention, attention), (their_part, part) in product(
            ATTENTIONS.items(), PROJECTIONS.items()
        ):
            modules[f"{theirs}.{their_attention}.{their_part}"] = f"{ours}.{attention}.{part}"
        modules |= {f"{theirs}.norm.{idx}": f"{ours}.{norm}" for idx, norm in enumerate(NORMS)}
    names = {
        f"{theirs}.{kind}": f"{ours}.{kind}"
        for theirs, ours in modules.items()
        for kind in ("weight", "bias")
    }
    return names | {"negative_token.weight": "negative_tokens", FREQUENCIES: "temporal_frequencies"}


def _check_divides(name: str, value: int, **widths: int) -> None:
    for width_name, width in widths.items():
        if width % value:
            raise UserError(f"{name}: must divide {width_name} ({width}), got {value}.")
