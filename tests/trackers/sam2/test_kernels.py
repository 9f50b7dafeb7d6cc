"""Attention runs in the precision of the trainer; how benchmarks see kernels and operations."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

from benchmarks.attention_kernels import AttentionCall, AttentionKernels, count_operations
from sola.generation.run import run_generation


def _attend(dtype: torch.dtype = torch.float32) -> None:
    q, k = torch.randn(2, 3, 10, 8, dtype=dtype), torch.randn(2, 3, 20, 8, dtype=dtype)
    F.scaled_dot_product_attention(q, k, k)


@pytest.mark.parametrize("backend", [SDPBackend.MATH, SDPBackend.FLASH_ATTENTION])
def test_call_is_recorded_with_the_kernel_that_torch_chose(backend: SDPBackend) -> None:
    with torch.inference_mode(), sdpa_kernel(backend), AttentionKernels() as kernels:
        _attend(torch.bfloat16)
    call = AttentionCall(backend.name.lower(), torch.bfloat16, 3, 10, 20, 8)
    assert kernels.calls == {call: 1}
    assert kernels.summary() == [
        f"{backend.name.lower()} in bfloat16: 1 calls, head widths [8], up to 200 pairs a head"
    ]


@pytest.mark.parametrize("backend", [SDPBackend.MATH, SDPBackend.FLASH_ATTENTION])
def test_operations_of_attention_count_with_any_kernel(backend: SDPBackend) -> None:
    with torch.inference_mode(), sdpa_kernel(backend):
        # two products of 10 x 20 x 8, each a multiplication and an addition, in 2 x 3 heads
        assert count_operations(_attend) == 2 * 2 * 10 * 20 * 8 * 2 * 3


@pytest.mark.parametrize(
    ("precision", "dtype"), [("32-true", torch.float32), ("bf16-mixed", torch.bfloat16)]
)
def test_generation_attends_in_the_precision_of_the_trainer(
    compose: Callable[..., Any], precision: str, dtype: torch.dtype
) -> None:
    config = compose(
        "generate",
        "split=train",
        "prompt_source=grid",
        "dataset.maker.num_frames=3",
        "dataset.maker.num_videos={train: 1}",
        "dataset.maker.first_seed={train: 1}",
        f"trainer.precision={precision}",
    )
    with AttentionKernels() as kernels:
        run_generation(config)
    assert {call.dtype for call in kernels.calls} == {dtype}
    assert {call.kernel for call in kernels.calls} == {"flash_attention"}
    assert {call.head_dim for call in kernels.calls} == {8, 16, 128}
