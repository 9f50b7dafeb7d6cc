"""Group normalisation over a set of tokens, some of which may be padding."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class TokenGroupNorm(nn.Module):
    """Group normalisation with statistics over all valid tokens of a set and the group's channels.

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

    def forward(self, tokens: Tensor, mask: Tensor | None = None) -> Tensor:
        """Normalised tokens; what stands at padding is finite and means nothing.

        Args:
            tokens: (R, S, C), R sets of S tokens.
            mask: (R, S) bool, True for tokens that exist; None: all of them.

        Returns:
            (R, S, C).
        """
        if mask is None:
            # (R, S, C) -> (R, C, S, 1), which is channels-last in memory: nothing is copied
            channels_first = tokens.transpose(1, 2).unsqueeze(-1)
            normalised = F.group_norm(
                channels_first, self.num_groups, self.weight, self.bias, self.eps
            )
            return normalised.squeeze(-1).transpose(1, 2)
        return self._masked(tokens, mask)

    def _masked(self, tokens: Tensor, mask: Tensor) -> Tensor:
        grouped = tokens.unflatten(-1, (self.num_groups, -1))  # (R, S, groups, C / groups)
        weights = mask[:, :, None, None].to(tokens.dtype)
        count = mask.sum(dim=1).clamp(min=1)[:, None, None, None] * grouped.shape[-1]
        mean = (grouped * weights).sum(dim=(1, 3), keepdim=True) / count
        centred = (grouped - mean) * weights
        variance = centred.square().sum(dim=(1, 3), keepdim=True) / count
        normalised = (centred * (variance + self.eps).rsqrt()).flatten(-2)
        return torch.addcmul(self.bias, normalised, self.weight)
