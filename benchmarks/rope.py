"""Rotary attention's rotation: upstream's complex numbers, our broadcast ones, and the real form.

    python benchmarks/rope.py                  # seconds of compiling, then the figures
    python benchmarks/rope.py --device cuda    # on a GPU

Queries (1, 1, n, 256) and keys of 7 memories and 64 pointers, at 256 px (n = 256) and at 1024 px
(n = 4096): milliseconds as single operators and compiled by torch, and what single operators do:
how many of them there are that move data (kernels, on a GPU) and the bytes they read and write,
broadcast ones counted once. Prints ``ratio <name> <value> bar -``, upstream's time over ours.
"""

import argparse
from collections.abc import Callable
from typing import Any

import torch
from random_tracker import PRECISIONS, timed
from sam2.modeling.position_encoding import apply_rotary_enc
from sam2.modeling.sam.transformer import RoPEAttention as Upstream
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from sola.trackers.sam2.rope import RoPEAttention

DIM, NUM_MEMORIES, NUM_POINTERS = 256, 7, 64
REPEATS = {16: 100, 64: 10}
"""Calls that are timed together, by the side of the feature map."""


class Traffic(TorchDispatchMode):
    """Counts operators that move data, and their bytes."""

    def __init__(self) -> None:
        super().__init__()
        self.kernels = self.num_bytes = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        storages = {tensor.untyped_storage()._cdata for tensor in _tensors((args, kwargs))}
        is_new = {tensor.untyped_storage()._cdata for tensor in _tensors(result)} - storages
        if is_new or func._schema.is_mutable:  # the others are views
            self.kernels += 1
            self.num_bytes += sum(map(_num_bytes, _tensors((args, kwargs, result))))
            if func._schema.is_mutable:  # result and first argument are one tensor, written only
                self.num_bytes -= _num_bytes(args[0])
        return result


def main() -> None:
    """Measures all forms in both sizes and precisions."""
    parser = argparse.ArgumentParser(description="speed and traffic of the rotation")
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    torch.set_num_threads(1)
    for side in REPEATS:
        for precision in PRECISIONS:
            _compare(side, precision, options.device)


@torch.inference_mode()
def _compare(side: int, precision: str, device: str) -> None:
    dtype = PRECISIONS[precision] or torch.float32
    shape = {"embedding_dim": DIM, "num_heads": 1, "rope_k_repeat": True}
    theirs = Upstream(**shape, feat_sizes=(side, side)).to(device)
    ours = RoPEAttention(**shape, feat_sizes=(side, side)).to(device)
    num_rotated = NUM_MEMORIES * side**2
    q = torch.randn(1, 1, side**2, DIM, device=device).to(dtype)
    k = torch.randn(1, 1, num_rotated + NUM_POINTERS, DIM, device=device).to(dtype)

    def upstream(q: Tensor, k: Tensor) -> tuple[Tensor, Tensor]:
        angles = theirs.freqs_cis.to(device)
        q, k[:, :, :num_rotated] = apply_rotary_enc(q, k[:, :, :num_rotated], angles, True)
        return q, k

    def broadcast(q: Tensor, k: Tensor) -> tuple[Tensor, Tensor]:
        return ours._rotate(q, side**2), ours._rotate(k, num_rotated)

    def real(q: Tensor, k: Tensor) -> tuple[Tensor, Tensor]:
        return ours._rotate_fused(q, side**2), ours._rotate_fused(k, num_rotated)

    forms = {"upstream": upstream, "ours": broadcast, "real numbers": real}
    torch._dynamo.reset()
    compiled = {
        f"{name}, compiled": torch.compile(forms[name]) for name in ("upstream", "real numbers")
    }
    milliseconds = _milliseconds(forms | compiled, q, k, REPEATS[side])
    print(f"{16 * side} px, {precision} on {device}")
    for name, value in milliseconds.items():
        print(f"  {name}: {value:.2f} ms" + (_traffic(forms[name], q, k) if name in forms else ""))
    ratio = milliseconds["upstream"] / milliseconds["ours"]
    print(f"ratio rope_{16 * side}_{precision} {ratio:.2f} bar -")


def _milliseconds(
    forms: dict[str, Callable[..., Any]], q: Tensor, k: Tensor, repeats: int
) -> dict[str, float]:
    """Of one call of each; they take turns, and the best of seven rounds counts."""
    best = dict.fromkeys(forms, float("inf"))
    values = k.clone()
    for _ in range(8):  # the first compiles
        for name, form in forms.items():
            seconds, _ = timed(lambda f=form: [f(q, values) for _ in range(repeats)], q.device)
            best[name] = min(best[name], seconds / repeats * 1000)
    return best


def _traffic(form: Callable[..., Any], q: Tensor, k: Tensor) -> str:
    values = k.clone()
    with Traffic() as traffic:
        form(q, values)
    return f", {traffic.kernels} kernels, {traffic.num_bytes / 2**20:.0f} MiB"


def _tensors(tree: Any) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, Tensor)]


def _num_bytes(tensor: Tensor) -> int:
    """Of the different elements; broadcast ones have a stride of 0."""
    count = tensor.element_size()
    for size, stride in zip(tensor.shape, tensor.stride(), strict=True):
        count *= size if stride else 1
    return count


if __name__ == "__main__":
    main()
