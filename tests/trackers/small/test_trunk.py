import pytest
import torch

from sola.trackers.small.trunk import ConvTrunk


def test_trunk_gives_maps_at_strides_4_8_and_16() -> None:
    trunk = ConvTrunk(dims=(8, 16, 24), depths=(1, 0, 2))
    maps = trunk(torch.randn(2, 3, 32, 48))
    assert [tuple(level.shape) for level in maps] == [(2, 8, 8, 12), (2, 16, 4, 6), (2, 24, 2, 3)]
    assert trunk.channel_list == [24, 16, 8]


def test_trunk_with_a_depth_too_few_is_refused() -> None:
    with pytest.raises(ValueError, match="shorter"):
        ConvTrunk(dims=(8, 16, 24), depths=(1, 1))
