"""Record attention kernels, and count floating-point operations."""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode, sdpa_flop_count

aten = torch.ops.aten


class AttentionCall(NamedTuple):
    """One kind of attention call."""

    kernel: str
    """flash_attention, efficient_attention, cudnn_attention or math, as torch names them."""
    dtype: torch.dtype
    num_heads: int
    num_queries: int
    num_keys: int
    head_dim: int


class AttentionKernels(TorchDispatchMode):
    """Records every call of scaled dot product attention in inference mode.

    The kernel comes from the function that torch itself calls. If it is not flash attention on
    CUDA, torch warns with the reason. Nothing is compiled meanwhile.
    """

    def __init__(self) -> None:
        super().__init__()
        self.calls: Counter[AttentionCall] = Counter()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        if func is aten.scaled_dot_product_attention.default:
            backend = SDPBackend(torch._fused_sdp_choice(*args, **(kwargs or {})))
            call = _describe(backend, args[0], args[1])
            if backend != SDPBackend.FLASH_ATTENTION and call not in self.calls:
                _warn_why_not_flash(args[:3])
            self.calls[call] += 1
        return func(*args, **(kwargs or {}))

    def summary(self) -> list[str]:
        """Return a line per kernel and type, such as "flash_attention in bfloat16: 54 calls"."""
        groups: dict[tuple[str, torch.dtype], list[AttentionCall]] = {}
        for call in self.calls:
            groups.setdefault((call.kernel, call.dtype), []).append(call)
        return [
            f"{kernel} in {str(dtype).removeprefix('torch.')}: "
            f"{sum(self.calls[call] for call in calls)} calls, "
            f"head widths {sorted({call.head_dim for call in calls})}, "
            f"up to {max(call.num_queries * call.num_keys for call in calls):,} pairs a head"
            for (kernel, dtype), calls in groups.items()
        ]


def count_operations(function: Callable[[], Any]) -> int:
    """Count the floating-point operations of matrix products, convolutions and attention."""

    def attention(q: Any, k: Any, v: Any, *_: Any, **__: Any) -> int:
        operations: int = sdpa_flop_count(q, k, v)
        return operations

    # torch counts CUDA's attention kernels, but not the CPU's
    own = {aten._scaled_dot_product_flash_attention_for_cpu: attention}
    with FlopCounterMode(display=False, custom_mapping=own) as counter:
        function()
    return counter.get_total_flops()


def _describe(backend: SDPBackend, q: Tensor, k: Tensor) -> AttentionCall:
    _, num_heads, num_queries, head_dim = q.shape
    return AttentionCall(
        backend.name.lower(), q.dtype, num_heads, num_queries, k.shape[2], head_dim
    )


def _warn_why_not_flash(tensors: Sequence[Tensor]) -> None:
    if tensors[0].is_cuda:
        q, k, v = tensors
        params = torch.backends.cuda.SDPAParams(q, k, v, None, 0.0, False, False)
        torch.backends.cuda.can_use_flash_attention(params, debug=True)
