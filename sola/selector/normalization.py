"""Group normalisation over a set of tokens."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class TokenGroupNorm(nn.Module):
    """Group normalisation with statistics over all tokens of a set and the group's channels.

    It computes in the precision of its parameters: in float32 under mixed precision.

    Args:
        num_groups: groups into which the channels are split; must divide ``num_channels``.
        num_channels: C.
        eps: added to the variance.
    """

    def __init__(self, num_groups: int, num_channels: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.num_groups = num_groups
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(num_channels))
        self.bias = nn.Parameter(torch.zeros(num_channels))

    def forward(self, tokens: Tensor) -> Tensor:
        """Normalises (A, S, C): A sets of S tokens."""
        # (A, S, C) -> (A, C, S, 1), which torch sees to be channels-last: nothing is copied
        channels_first = tokens.to(self.weight.dtype).unsqueeze(2).permute(0, 3, 1, 2)
        normalised = F.group_norm(channels_first, self.num_groups, self.weight, self.bias, self.eps)
        return normalised.permute(0, 2, 3, 1).squeeze(2)
