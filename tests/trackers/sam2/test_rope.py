"""Rotary attention matches upstream's."""

import copy
from typing import Any

import pytest
import torch
from sam2.modeling.sam import transformer as upstream
from small_tracker import OFFICIAL, small_model

from sola.trackers.sam2.builder import NETWORK
from sola.trackers.sam2.rope import RoPEAttention

SIDE, DIM, MEMORY_DIM = 6, 16, 8
NUM_QUERIES = SIDE * SIDE


def _pair(**options: Any) -> tuple[Any, RoPEAttention]:
    """Upstream's module and ours with its weights."""
    torch.manual_seed(0)
    arguments = {"embedding_dim": DIM, "num_heads": 1, "feat_sizes": (SIDE, SIDE)} | options
    theirs, ours = upstream.RoPEAttention(**arguments), RoPEAttention(**arguments)
    ours.load_state_dict(theirs.state_dict())
    return theirs.eval(), ours.eval()


def _inputs(num_memories: int, num_pointers: int, dtype: torch.dtype) -> list[torch.Tensor]:
    """Queries, keys and values; keys are a view, as SAM 2's are."""
    generator = torch.Generator().manual_seed(num_memories)
    num_keys = num_memories * NUM_QUERIES + num_pointers
    shapes = [(3, NUM_QUERIES, DIM), (num_keys, 3, MEMORY_DIM), (3, num_keys, MEMORY_DIM)]
    q, k, v = (torch.randn(shape, generator=generator).to(dtype) for shape in shapes)
    return [q, k.transpose(0, 1), v]


@pytest.mark.parametrize("precision", ["float32", "float64", "bfloat16", "bf16 autocast"])
def test_attention_to_memories_matches_upstream_bit_for_bit(precision: str) -> None:
    is_autocast = precision == "bf16 autocast"
    dtype = torch.float32 if is_autocast else getattr(torch, precision)
    for num_memories, num_pointers, num_heads in ((1, 0, 1), (1, 4, 1), (2, 12, 2), (7, 12, 1)):
        theirs, ours = _pair(kv_in_dim=MEMORY_DIM, rope_k_repeat=True, num_heads=num_heads)
        theirs, ours = theirs.to(dtype), ours.to(dtype)
        values = _inputs(num_memories, num_pointers, dtype)

        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=is_autocast):
            expected = theirs(*values, num_k_exclude_rope=num_pointers)
            found = ours(*values, num_k_exclude_rope=num_pointers)

        assert found.dtype == expected.dtype == (torch.bfloat16 if is_autocast else dtype)
        assert torch.equal(found, expected)


def test_self_attention_equals_upstreams_bit_for_bit() -> None:
    theirs, ours = _pair()
    x = torch.randn(2, NUM_QUERIES, DIM)
    v = torch.randn(2, NUM_QUERIES, DIM)

    assert torch.equal(ours(x, x, v), theirs(x, x, v))


def test_wrong_rotation_is_detected() -> None:
    theirs, ours = _pair(kv_in_dim=MEMORY_DIM, rope_k_repeat=True)
    values = _inputs(2, 4, torch.float32)
    expected = theirs(*values, num_k_exclude_rope=4)
    ours.rotation = ours.rotation.roll(1, 0)

    assert (ours(*values, num_k_exclude_rope=4) - expected).abs().max() > 1e-3


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_form_for_compilation_is_the_same_product(dtype: torch.dtype) -> None:
    _, ours = _pair()
    for num_memories, num_pointers in ((1, 0), (1, 4), (7, 12)):
        num_rotated = num_memories * NUM_QUERIES
        x = torch.randn(2, 1, num_rotated + num_pointers, DIM).to(dtype)

        fused = ours._rotate_fused(x, num_rotated)

        assert torch.equal(fused, ours._rotate(x.clone(), num_rotated))
        assert torch.equal(fused[:, :, num_rotated:], x[:, :, num_rotated:])


def test_angles_keep_their_precision_in_a_model_of_another_type() -> None:
    _, ours = _pair()
    rotation = ours.rotation.clone()
    for converted in (copy.deepcopy(ours).double(), copy.deepcopy(ours).bfloat16()):
        assert converted.rotation.dtype == torch.float32
        assert torch.equal(converted.rotation, rotation)
    assert ours.to("meta").rotation.is_meta


def test_builder_uses_it_in_our_network_only() -> None:
    def kinds(target: str) -> set[type]:
        modules = small_model(target).memory_attention.modules()
        return {type(m) for m in modules if isinstance(m, upstream.RoPEAttention)}

    assert kinds(NETWORK) == {RoPEAttention}
    assert kinds(OFFICIAL) == {upstream.RoPEAttention}
