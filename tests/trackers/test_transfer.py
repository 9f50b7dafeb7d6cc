"""Masks are encoded while the GPU goes on, and equal those that the CPU encodes."""

import pytest
import torch
from pretend_gpu import PretendGpu

from sola.masks import encode
from sola.trackers.transfer import MaskCoder, upload


@pytest.mark.parametrize("size", [(8, 8), (5, 7), (1, 70), (64, 3)])
def test_codes_of_a_gpu_equal_those_of_the_cpu(gpu: PretendGpu, size: tuple[int, int]) -> None:
    generator = torch.Generator().manual_seed(0)
    random = [torch.rand(2, *size, generator=generator) < share for share in (0.02, 0.5, 0.98)]
    masks = torch.cat([*random, torch.zeros(1, *size) > 0, torch.ones(1, *size) > 0])
    own = upload(masks, torch.device("cuda:0"))
    with gpu.region("coding") as counts, MaskCoder() as coder:
        codes = [coder.encode(own), coder.encode(own[:1])]
        found = [each() for each in codes]
    assert found == [encode(masks.numpy()), encode(masks[:1].numpy())]
    assert not counts.waits


def test_masks_on_the_cpu_may_change_once_they_are_given() -> None:
    masks = torch.ones(1, 4, 4, dtype=torch.bool)
    with MaskCoder() as coder:
        code = coder.encode(masks)
        masks[:] = False
    assert code() == encode(torch.ones(1, 4, 4).numpy())
