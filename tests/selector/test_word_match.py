"""WordMatch: its functions over time, and what the tracks of a video know of each other."""

import math

import pytest
import torch
from torch.nn.functional import adaptive_avg_pool1d

from sola.selector import WordMatch
from sola.selector.word_match import NUM_FREQUENCIES, segment_weights, time_code

LENGTHS = torch.tensor([1, 2, 3, 4, 7, 16])


@pytest.mark.parametrize("num_segments", [1, 3, 4, 8])
def test_segment_weights_match_adaptive_average_pooling(num_segments: int) -> None:
    weights = segment_weights(LENGTHS, 16, num_segments).double()
    torch.testing.assert_close(weights.sum(dim=-1), torch.ones(6, num_segments).double())
    for length, weight in zip(LENGTHS.tolist(), weights, strict=True):
        values = torch.randn(5, length).double()
        expected = adaptive_avg_pool1d(values, num_segments)
        torch.testing.assert_close(values @ weight[:, :length].T, expected, rtol=1e-6, atol=1e-6)
        assert not weight[:, length:].any(), "padding has no weight"


def test_time_code_holds_sines_and_cosines_of_the_share_of_a_video() -> None:
    code = time_code(LENGTHS, 16)
    assert code.shape == (6, 16, 4 * NUM_FREQUENCIES)
    for length, own in zip(LENGTHS.tolist(), code, strict=True):
        for frame in range(length):
            share = frame / max(length - 1, 1)
            fast = [share * 2**k * math.pi / 2 for k in range(NUM_FREQUENCIES)]
            slow = [(share - 1) * 2**k * math.pi / 8 for k in range(NUM_FREQUENCIES)]
            angles = ((math.sin, fast), (math.cos, fast), (math.sin, slow), (math.cos, slow))
            expected = [function(angle) for function, part in angles for angle in part]
            torch.testing.assert_close(own[frame].tolist(), expected, rtol=0, atol=1e-4)


def test_time_code_does_not_depend_on_padding() -> None:
    padded = time_code(LENGTHS, 16)
    for length, own in zip(LENGTHS, padded, strict=True):
        torch.testing.assert_close(own[:length], time_code(length[None], int(length))[0])


@pytest.mark.parametrize("num_comparisons", [0, 1, 2])
def test_tracks_see_each_other_only_through_comparisons(num_comparisons: int) -> None:
    torch.manual_seed(0)
    selector = WordMatch(8, 16, dim=16, match_dim=8, num_comparisons=num_comparisons).eval()
    tokens, text = torch.randn(1, 5, 12, 8), torch.randn(3, 4, 16)

    logits, without_last = selector(tokens, text)[0], selector(tokens[:, :4], text)[0]

    is_same = torch.isclose(logits[:, :4], without_last, rtol=0, atol=1e-6)
    assert is_same.all() if num_comparisons == 0 else not is_same.any()
