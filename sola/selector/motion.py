"""Short-term motion encoder: strided convolutions over the object tokens of one track."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sola.selector.normalization import TokenGroupNorm

STD_EPS = 1e-5
NEGATIVE_SLOPE = 0.01


class WeightStandardizedConv1d(nn.Conv1d):
    """Convolution over time of which every output filter has mean 0 and standard deviation 1.

    The standard deviation is the unbiased one (Qiao et al. 2019, arXiv 1903.10520). Tracks have few
    frames and the filters are large: the windows are laid out and multiplied, and what can be done
    on the result is not done on the filters.
    """

    def forward(self, tokens: Tensor) -> Tensor:
        """Convolves (R, T, C_in) into (R, T', C_out)."""
        kernel_size, padding = self.weight.shape[2], self.weight.shape[2] // 2
        if kernel_size > 1:
            # (R, T, C) -> (R, T', C, kernel) -> (R, T', C * kernel)
            tokens = F.pad(tokens, (0, 0, padding, padding)).unfold(1, kernel_size, self.stride[0])
            tokens = tokens.flatten(2)
        weight = self.weight.flatten(1)
        centred = weight - weight.mean(dim=1, keepdim=True)
        std = torch.linalg.vector_norm(centred, dim=1) / math.sqrt(weight.shape[1] - 1)
        assert self.bias is not None
        return F.linear(tokens, centred / (std + STD_EPS)[:, None], self.bias)


class MotionBlock(nn.Module):
    """Convolution of kernel 3, group normalisation over time, leaky ReLU, dropout."""

    def __init__(
        self, in_dim: int, out_dim: int, *, stride: int, num_groups: int, dropout: float
    ) -> None:
        super().__init__()
        self.stride = stride
        self.conv = WeightStandardizedConv1d(in_dim, out_dim, 3, stride=stride, padding=1)
        self.norm = TokenGroupNorm(num_groups, out_dim)
        self.dropout = nn.Dropout(dropout)

    def forward(self, tokens: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Encodes (R, T, C_in) into (R, T', C_out); padded frames come out as zeros."""
        if mask is not None:
            mask = mask[:, :: self.stride]
        tokens = self.norm(self.conv(tokens), mask)
        tokens = self.dropout(F.leaky_relu(tokens, NEGATIVE_SLOPE))
        if mask is not None:
            tokens = tokens * mask[:, :, None]
        return tokens, mask


class MotionEncoder(nn.Module):
    """Object tokens of each track -> fewer, wider tokens that know what happens around them.

    Time is halved (rounded up) three times: T' = ceil(ceil(ceil(T / 2) / 2) / 2).

    Args:
        token_dim: D, width of an object token.
        text_dim: E, width of a text token and of the result.
        num_groups: groups of the normalisation.
        dropout: after every block.
    """

    STRIDES = (2, 2, 2, 1, 1)

    def __init__(self, token_dim: int, text_dim: int, *, num_groups: int, dropout: float) -> None:
        super().__init__()
        hidden_dim = 2 * token_dim
        widths = (token_dim, hidden_dim, hidden_dim, hidden_dim, text_dim, text_dim)
        self.blocks = nn.ModuleList(
            MotionBlock(in_dim, out_dim, stride=stride, num_groups=num_groups, dropout=dropout)
            for in_dim, out_dim, stride in zip(widths[:-1], widths[1:], self.STRIDES, strict=True)
        )
        self.output = WeightStandardizedConv1d(text_dim, text_dim, 1)

    def forward(self, tokens: Tensor, frame_mask: Tensor | None) -> Tensor:
        """Motion tokens of every track.

        Args:
            tokens: (R, T, D), one row a track.
            frame_mask: (R, T) bool, False from a track's end on; None: nothing is padding.

        Returns:
            (R, T', E).
        """
        if frame_mask is not None:
            tokens = tokens.masked_fill(~frame_mask[:, :, None], 0)
        for block in self.blocks:
            tokens, frame_mask = block(tokens, frame_mask)
        output: Tensor = self.output(tokens)
        return output


def strided_frame_mask(frame_mask: Tensor) -> Tensor:
    """Which of the motion encoder's frames exist: (B, T) bool -> (B, T') bool."""
    for stride in MotionEncoder.STRIDES:
        frame_mask = frame_mask[:, ::stride]
    return frame_mask
