"""Short-term motion encoder: strided convolutions over the object tokens of one track."""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sola.selector.normalization import TokenGroupNorm
from sola.selector.packing import Layout, Shapes, join, split

STD_EPS = 1e-5
NEGATIVE_SLOPE = 0.01


class WeightStandardizedConv1d(nn.Conv1d):
    """Convolution over time of which every output filter has mean 0 and standard deviation 1.

    The standard deviation is the unbiased one (Qiao et al. 2019, arXiv 1903.10520). Tracks have few
    frames and the filters are large: the windows are laid out and multiplied, and what can be done
    on the result is not done on the filters.
    """

    def windows(self, tokens: Tensor, tracks: Shapes) -> tuple[Tensor, Shapes]:
        """What each filter sees: packed (A, T, C_in) -> packed (A, T', C_in * kernel)."""
        kernel_size, padding = self.weight.shape[2], self.weight.shape[2] // 2
        # (A, T, C) -> (A, T', C, kernel)
        blocks = [
            F.pad(block, (0, 0, padding, padding)).unfold(1, kernel_size, self.stride[0])
            for block in split(tokens, tracks)
        ]
        shapes = tuple((block.shape[0], block.shape[1]) for block in blocks)
        return join([block.flatten(2) for block in blocks]), shapes

    def forward(self, windows: Tensor) -> Tensor:
        """Filters packed windows (S, C_in * kernel) into (S, C_out)."""
        weight = self.weight.flatten(1)
        centred = weight - weight.mean(dim=1, keepdim=True)
        std = torch.linalg.vector_norm(centred, dim=1) / math.sqrt(weight.shape[1] - 1)
        assert self.bias is not None
        return F.linear(windows, centred / (std + STD_EPS)[:, None], self.bias)


class MotionBlock(nn.Module):
    """Convolution of kernel 3, group normalisation over time, leaky ReLU, dropout."""

    def __init__(
        self, in_dim: int, out_dim: int, *, stride: int, num_groups: int, dropout: float
    ) -> None:
        super().__init__()
        self.conv = WeightStandardizedConv1d(in_dim, out_dim, 3, stride=stride, padding=1)
        self.norm = TokenGroupNorm(num_groups, out_dim)
        self.dropout = nn.Dropout(dropout)

    def forward(self, tokens: Tensor, tracks: Shapes) -> tuple[Tensor, Shapes]:
        """Encodes packed tokens of (A, T) tracks into those of (A, T') tracks."""
        windows, tracks = self.conv.windows(tokens, tracks)
        tokens = join([self.norm(block) for block in split(self.conv(windows), tracks)])
        return self.dropout(F.leaky_relu(tokens, NEGATIVE_SLOPE)), tracks


class MotionEncoder(nn.Module):
    """Object tokens of each track -> fewer, wider tokens that know what happens around them.

    Args:
        token_dim: D, width of an object token.
        text_dim: E, width of a text token and of the result.
        strides: of the five blocks; each divides the number of frames and rounds up. The paper's
            (2, 2, 2, 1, 1) leave T' = ceil(ceil(ceil(T / 2) / 2) / 2).
        gain: factor on what a track's tokens differ from their mean over time. Above 1, what
            changes is not drowned by what stays.
        num_groups: groups of the normalisation.
        dropout: after every block.
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
        self.blocks = nn.ModuleList(
            MotionBlock(in_dim, out_dim, stride=stride, num_groups=num_groups, dropout=dropout)
            for in_dim, out_dim, stride in zip(widths[:-1], widths[1:], strides, strict=True)
        )
        self.output = WeightStandardizedConv1d(text_dim, text_dim, 1)

    def forward(self, tokens: Tensor, layout: Layout) -> tuple[Tensor, Layout]:
        """Motion tokens of every track.

        Args:
            tokens: (S, D), packed.
            layout: of the tokens.

        Returns:
            (S', E), packed, and their layout, of T' frames.
        """
        tracks = layout.tracks
        if self.gain != 1:
            tokens = join([self._amplify(block) for block in split(tokens, tracks)])
        for block in self.blocks:
            tokens, tracks = block(tokens, tracks)
        return self.output(tokens), layout.with_frames([num_frames for _, num_frames in tracks])

    def _amplify(self, tokens: Tensor) -> Tensor:
        """Moves tokens (A, T, D) away from their mean over time."""
        mean = tokens.mean(dim=1, keepdim=True)
        return mean + self.gain * (tokens - mean)
