"""Rotary attention over memories: upstream's result, with less work."""

from typing import Any

import torch
import torch.nn.functional as F
from sam2.modeling.sam import transformer as upstream
from torch import Tensor


class RoPEAttention(upstream.RoPEAttention):
    """SAM 2's rotary attention, bit for bit, with upstream's parameters.

    Upstream repeats the angles for every memory, in memory; here they are broadcast. As they come,
    pairs of channels turn as complex numbers, the fastest way that single operators have. For
    those, torch.compile makes no code of its own: it gets the same products of real numbers, which
    it fuses. Like upstream, everything turns in float32, whatever the type of the model.
    """

    def __init__(self, *args: Any, feat_sizes: tuple[int, int], **kwargs: Any) -> None:
        """As upstream's, but for one size of feature maps.

        Args:
            feat_sizes: width and height of the feature map; their product n is the number of
                queries of every call, and keys that turn are a multiple of it.
            args: see upstream.
            kwargs: see upstream.
        """
        super().__init__(*args, feat_sizes=feat_sizes, **kwargs)
        # (n, D / 2, 2) cosines and sines. No buffer: it stays float32 in a model of another type.
        self.rotation = torch.view_as_real(self.freqs_cis).to(self.q_proj.weight.device)
        del self.freqs_cis

    def forward(self, q: Tensor, k: Tensor, v: Tensor, num_k_exclude_rope: int = 0) -> Tensor:
        """Attention of n queries to r * n keys that turn and a few at the end that do not.

        Args:
            q: (B, n, D) queries.
            k: (B, r * n + num_k_exclude_rope, K) keys; r feature maps, then object pointers.
            v: values, like keys.
            num_k_exclude_rope: number of keys that do not turn.
        """
        q, k, v = (
            self._separate_heads(project(x), self.num_heads)
            for project, x in ((self.q_proj, q), (self.k_proj, k), (self.v_proj, v))
        )
        assert self.rope_k_repeat or q.shape[-2] == k.shape[-2]
        num_rotated = k.shape[-2] - num_k_exclude_rope
        q, k = self._rotate(q, q.shape[-2]), self._rotate(k, num_rotated)
        dropout = self.dropout_p if self.training else 0.0
        out = F.scaled_dot_product_attention(q, k, v, dropout_p=dropout)
        projected: Tensor = self.out_proj(self._recombine_heads(out))
        return projected

    def _rotate(self, x: Tensor, num_rotated: int) -> Tensor:
        """Rotated (B, heads, r * n + others, D), the others as they were."""
        if torch.compiler.is_compiling():
            return self._rotate_fused(x, num_rotated)
        # (B, heads, r * n, D) -> (B, heads, r, n, D / 2, 2)
        pairs = x[:, :, :num_rotated].float().unflatten(-1, (-1, 2))
        pairs = pairs.unflatten(2, (-1, len(self.rotation)))
        product = torch.view_as_complex(pairs) * torch.view_as_complex(self.rotation)
        rotated = torch.view_as_real(product).flatten(-2).flatten(2, 3)
        if num_rotated == x.shape[2]:
            return rotated.type_as(x)
        x[:, :, :num_rotated] = rotated
        return x

    def _rotate_fused(self, x: Tensor, num_rotated: int) -> Tensor:
        """The same without complex numbers, and without slices: one kernel, for any r."""
        position = torch.arange(x.shape[2], device=x.device)
        cos, sin = self.rotation[position % len(self.rotation)].unbind(-1)
        a, b = x.float().unflatten(-1, (-1, 2)).unbind(-1)
        rotated = torch.stack((a * cos - b * sin, a * sin + b * cos), dim=-1).flatten(-2)
        return torch.where(position[:, None] < num_rotated, rotated.type_as(x), x)

    def _apply(self, *args: Any, **kwargs: Any) -> "RoPEAttention":
        """What ``Module.to`` calls: the angles follow the parameters to their device."""
        super()._apply(*args, **kwargs)
        self.rotation = self.rotation.to(self.q_proj.weight.device)
        return self
