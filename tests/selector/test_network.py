"""What the selector's scores may and may not depend on."""

import dataclasses
from typing import Any

import pytest
import torch
from reference_weights import reference_state_dict
from small_selectors import SEE_MOTION, make_selector
from torch import Tensor

from sola.errors import UserError
from sola.selector import Selector, TrackSelector, WordMatch
from sola.selector.layers import TokenGroupNorm
from sola.selector.losses import (
    LossInputs,
    SelectionLoss,
    SelectorOutputs,
    alignment_loss,
    combine_terms,
)

TOKEN_DIM, TEXT_DIM = 8, 16
EXACT = {"rtol": 1e-10, "atol": 1e-10}


@dataclasses.dataclass(frozen=True)
class Sample:
    tokens: Tensor
    """(N, T, D)."""
    text: Tensor
    """(L, E)."""


def make_network(name: str) -> Selector:
    selector = make_selector(name, TOKEN_DIM, TEXT_DIM)
    for key, parameter in selector.named_parameters():
        if "norm" in key:  # away from the identity, so that a wrong affine part shows
            torch.nn.init.normal_(parameter)
    return selector.double().eval()


@pytest.fixture(params=SEE_MOTION)
def selector(request: pytest.FixtureRequest) -> Selector:
    return make_network(request.param)


@pytest.fixture
def track_selector() -> TrackSelector:
    selector = make_network("TrackSelector")
    assert isinstance(selector, TrackSelector)
    return selector


def sample(num_tracks: int, num_frames: int, num_text: int, seed: int = 0) -> Sample:
    generator = torch.Generator().manual_seed(1000 * seed + 100 * num_tracks + num_frames)
    tokens = torch.randn(num_tracks, num_frames, TOKEN_DIM, generator=generator)
    text = torch.randn(num_text, TEXT_DIM, generator=generator)
    return Sample(tokens.double(), text.double())


def alone(selector: Selector, item: Sample) -> tuple[Tensor, Tensor]:
    logits, track_tokens = selector(item.tokens[None], item.text[None])
    return logits[0], track_tokens[0]


def padded(tensor: Tensor, *lengths: int) -> tuple[Tensor, Tensor]:
    """The tensor in the corner of a larger one full of sevens, and which rows are its own."""
    out = torch.full((*lengths, tensor.shape[-1]), 7.0, dtype=tensor.dtype)
    mask = torch.zeros(lengths, dtype=torch.bool)
    corner = tuple(slice(length) for length in tensor.shape[:-1])
    out[corner], mask[corner] = tensor, True
    return out, mask


def test_default_network_has_the_papers_number_of_parameters() -> None:
    with torch.device("meta"):
        selector = TrackSelector()
    assert sum(p.numel() for p in selector.parameters()) == 32_980_480


@pytest.mark.parametrize("extra_tracks", [0, 3])
@pytest.mark.parametrize("extra_frames", [0, 1, 9])
@pytest.mark.parametrize("extra_text", [0, 4])
@pytest.mark.parametrize("num_frames", [1, 8, 17])
def test_padding_changes_no_score(
    selector: Selector, num_frames: int, extra_tracks: int, extra_frames: int, extra_text: int
) -> None:
    item = sample(num_tracks=4, num_frames=num_frames, num_text=5)
    tokens, token_mask = padded(item.tokens, 4 + extra_tracks, num_frames + extra_frames)
    text, text_mask = padded(item.text, 5 + extra_text)

    logits, track_tokens = selector(
        tokens[None],
        text[None],
        token_mask[None].any(dim=2) if extra_tracks else None,
        token_mask[None].any(dim=1) if extra_frames else None,
        text_mask[None] if extra_text else None,
    )

    expected_logits, expected_tokens = alone(selector, item)
    torch.testing.assert_close(logits[0, :4], expected_logits, **EXACT)
    torch.testing.assert_close(track_tokens[0, :4], expected_tokens, **EXACT)
    assert logits.isfinite().all()


def test_scores_do_not_depend_on_the_rest_of_the_batch(selector: Selector) -> None:
    items = [sample(4, 17, 5), sample(1, 1, 2), sample(6, 30, 9), sample(0, 12, 3)]
    tokens, token_masks = zip(*(padded(item.tokens, 6, 30) for item in items), strict=True)
    text, text_masks = zip(*(padded(item.text, 9) for item in items), strict=True)
    token_mask = torch.stack(token_masks)

    logits, track_tokens = selector(
        torch.stack(tokens),
        torch.stack(text),
        token_mask.any(dim=2),
        token_mask.any(dim=1),
        torch.stack(text_masks),
    )

    for idx, item in enumerate(items):
        expected_logits, expected_tokens = alone(selector, item)
        num_tracks = len(item.tokens)
        torch.testing.assert_close(logits[idx, :num_tracks], expected_logits, **EXACT)
        torch.testing.assert_close(track_tokens[idx, :num_tracks], expected_tokens, **EXACT)
    assert logits.isfinite().all()


def test_permuting_tracks_permutes_scores(selector: Selector) -> None:
    item = sample(5, 12, 4)
    order = torch.tensor([3, 0, 4, 1, 2])

    logits, _ = alone(selector, item)
    permuted, _ = alone(selector, Sample(item.tokens[order], item.text))

    torch.testing.assert_close(permuted, logits[order], **EXACT)
    assert (logits.diff().abs() > 1e-3).all(), "equal scores would prove nothing"


def test_order_of_frames_matters(selector: Selector) -> None:
    item = sample(3, 16, 4)
    logits, _ = alone(selector, item)
    backward, _ = alone(selector, Sample(item.tokens.flip(1), item.text))
    assert (logits - backward).abs().max() > 1e-3


@pytest.mark.parametrize("with_masks", [False, True])
def test_expressions_that_share_a_video_score_as_single_ones(
    selector: Selector, with_masks: bool
) -> None:
    video = sample(4, 17, 1).tokens
    texts = torch.stack([sample(1, 1, 5, seed=seed).text for seed in range(3)])
    masks = [torch.ones(1, 4, dtype=torch.bool), torch.ones(1, 17, dtype=torch.bool)]

    logits, _ = selector(video[None], texts, *(masks if with_masks else []))

    for row, text in zip(logits, texts, strict=True):
        torch.testing.assert_close(row, alone(selector, Sample(video, text))[0], **EXACT)


def test_samples_may_point_into_a_batch_of_videos(selector: Selector) -> None:
    items = [sample(4, 17, 1), sample(2, 9, 1)]
    texts = torch.stack([sample(1, 1, 5, seed=seed).text for seed in range(3)])
    tokens, token_masks = zip(*(padded(item.tokens, 4, 17) for item in items), strict=True)
    token_mask = torch.stack(token_masks)
    video_idx = [1, 0, 1]

    logits, _ = selector(
        torch.stack(tokens),
        texts,
        token_mask.any(dim=2),
        token_mask.any(dim=1),
        video_idx=torch.tensor(video_idx),
    )

    for row, text, idx in zip(logits, texts, video_idx, strict=True):
        expected, _ = alone(selector, Sample(items[idx].tokens, text))
        torch.testing.assert_close(row[: len(expected)], expected, **EXACT)


def test_bfloat16_runs_with_norms_and_scores_in_float32(selector: Selector) -> None:
    selector.float()
    item = sample(6, 30, 9)
    tokens, text = item.tokens.float()[None], item.text.float()[None]
    dtypes = set()
    norms = [module for module in selector.modules() if isinstance(module, TokenGroupNorm)]
    for norm in norms:
        norm.register_forward_hook(lambda _, __, output: dtypes.add(output.dtype))
    exact, exact_tokens = selector(tokens, text)

    with torch.autocast("cpu", torch.bfloat16):
        logits, track_tokens = selector(tokens, text)

    assert dtypes == ({torch.float32} if norms else set())
    assert logits.dtype == track_tokens.dtype == torch.float32
    assert not torch.equal(logits, exact), "nothing ran in bfloat16"
    for found, expected in ((logits, exact), (track_tokens, exact_tokens)):
        assert (found - expected).norm() < 0.05 * expected.norm()


def test_video_without_tracks_has_no_scores(selector: Selector) -> None:
    logits, track_tokens = alone(selector, sample(0, 12, 3))
    assert logits.shape == (0,)
    assert track_tokens.shape == (0, TEXT_DIM)


def test_no_samples_have_no_scores(selector: Selector) -> None:
    tokens, text = torch.zeros(0, 3, 12, TOKEN_DIM), torch.zeros(0, 4, TEXT_DIM)
    logits, track_tokens = selector(tokens.double(), text.double())
    assert logits.shape == (0, 3)
    assert track_tokens.shape == (0, 3, TEXT_DIM)


def test_gradients_reach_every_parameter(selector: Selector) -> None:
    item = sample(4, 17, 5)
    labels = torch.tensor([[1.0, 0.0, 0.0, 1.0]])
    logits, track_tokens = selector.train()(item.tokens[None], item.text[None])
    outputs = SelectorOutputs(logits, track_tokens, selector.negative_tokens)
    loss = SelectionLoss(1.5, 0.3, 0.07)
    terms = loss(outputs, LossInputs(labels.double(), item.text[None]))
    combine_terms(terms, loss.weights, torch.tensor([True]))["loss"].backward()
    for name, parameter in selector.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        # a key's bias moves all of a query's scores alike: softmax does not see it
        assert parameter.grad.abs().max() > 1e-12 or name.endswith("key.bias"), name


def test_each_set_is_normalised_over_its_own_tokens() -> None:
    torch.manual_seed(0)
    norm = TokenGroupNorm(2, 6).double()
    torch.nn.init.normal_(norm.weight)
    torch.nn.init.normal_(norm.bias)
    tokens = 3 + 5 * torch.randn(3, 4, 6).double()
    oracle = torch.nn.GroupNorm(2, 6).double()
    oracle.load_state_dict(norm.state_dict())

    normalised = norm(tokens)

    for own, row in zip(tokens, normalised, strict=True):
        torch.testing.assert_close(row, oracle(own.T[None])[0].T, **EXACT)


def test_tracks_that_exist_may_stand_anywhere(selector: Selector) -> None:
    item = sample(4, 17, 5)
    where = torch.tensor([1, 2, 4, 7])
    tokens = torch.full((2, 8, 17, TOKEN_DIM), 7.0).double()
    tokens[1, where] = item.tokens
    track_mask = torch.zeros(2, 8, dtype=torch.bool)
    track_mask[1, where] = True

    logits, track_tokens = selector(tokens, item.text.expand(2, -1, -1), track_mask)

    expected_logits, expected_tokens = alone(selector, item)
    torch.testing.assert_close(logits[1, where], expected_logits, **EXACT)
    torch.testing.assert_close(track_tokens[1, where], expected_tokens, **EXACT)
    assert logits.isfinite().all()


def test_padding_and_shared_videos_cost_no_computation(track_selector: TrackSelector) -> None:
    items = [sample(4, 17, 5), sample(6, 30, 5), sample(4, 17, 5, seed=1)]
    tokens, masks = zip(*(padded(item.tokens, 6, 30) for item in items), strict=True)
    token_mask = torch.stack(masks)
    seen: dict[str, int] = {}
    for name in ("motion_encoder.output", "layers.0.time_attention.output", "layers.1.track_norm"):
        module = track_selector.get_submodule(name)
        module.register_forward_hook(
            lambda _, inputs, __, name=name: seen.update(
                {name: seen.get(name, 0) + inputs[0][..., 0].numel()}
            )
        )

    track_selector(
        torch.stack(tokens),
        torch.randn(5, 5, TEXT_DIM).double(),
        token_mask.any(dim=2),
        token_mask.any(dim=1),
        video_idx=torch.tensor([0, 1, 1, 2, 2]),
    )

    sizes = [4 * 3, 6 * 4, 4 * 3]  # N * T' of each video
    assert seen["motion_encoder.output"] == sum(sizes)
    assert seen["layers.0.time_attention.output"] == sum(sizes)
    assert seen["layers.1.track_norm"] == sizes[0] + 2 * sizes[1] + 2 * sizes[2]


@pytest.mark.parametrize(
    ("kwargs", "named"),
    [
        ({"text_dim": 20}, "num_heads: .*text_dim.*20.*8"),
        ({"text_dim": 24, "num_heads": 2, "num_groups": 5}, "num_groups: .*text_dim.*24.*5"),
        ({"token_dim": 6}, "num_groups: .*token_dim.*12.*8"),
        ({"text_dim": 9, "num_heads": 3, "num_groups": 1}, "text_dim: .*9"),
        ({"motion_strides": [2, 2, 2]}, r"motion_strides: .*\[2, 2, 2\]"),
        ({"motion_strides": [2, 2, 0, 1, 1]}, "motion_strides: .*0"),
        ({"motion_gain": -1.0}, "motion_gain: .*-1"),
        ({"dropout": 1.5}, "dropout: .*1.5"),
        ({"num_layers": -1}, "num_layers: .*-1"),
    ],
)
def test_invalid_argument_is_refused_by_name(kwargs: dict[str, Any], named: str) -> None:
    with pytest.raises(UserError, match=f"^{named}"):
        TrackSelector(**kwargs)


@pytest.mark.parametrize(
    ("kwargs", "named"),
    [
        ({"dim": 20, "num_heads": 8}, "num_heads: .*dim.*20.*8"),
        ({"token_dim": 0}, "token_dim: .*0"),
        ({"match_dim": 0}, "match_dim: .*0"),
        ({"num_descriptions": 0}, "num_descriptions: .*0"),
        ({"num_heads": 0}, "num_heads: .*0"),
        ({"motion_gain": -1.0}, "motion_gain: .*-1"),
        ({"dropout": 1.5}, "dropout: .*1.5"),
    ],
)
def test_invalid_argument_of_word_match_is_refused_by_name(
    kwargs: dict[str, Any], named: str
) -> None:
    with pytest.raises(UserError, match=f"^{named}"):
        WordMatch(**kwargs)


def test_strides_set_the_time_steps(track_selector: TrackSelector) -> None:
    fine = TrackSelector(**track_selector.kwargs | {"motion_strides": [1, 1, 1, 1, 1]}).double()
    fine.load_state_dict(track_selector.state_dict())
    hidden = torch.zeros(1, 3, 16, TOKEN_DIM, dtype=torch.float64)
    assert fine.motion_encoder(hidden).shape[2] == 16
    assert track_selector.motion_encoder(hidden).shape[2] == 2
    item = sample(3, 16, 5)
    assert not torch.allclose(alone(fine.eval(), item)[0], alone(track_selector, item)[0])


def test_gain_scales_the_difference_from_the_tracks_mean(
    track_selector: TrackSelector,
) -> None:
    amplified = TrackSelector(**track_selector.kwargs | {"motion_gain": 3.0}).double()
    amplified.load_state_dict(track_selector.state_dict())
    short, long = sample(3, 6, 5), sample(2, 9, 5)
    mean = short.tokens.mean(dim=1, keepdim=True)
    by_hand = dataclasses.replace(short, tokens=mean + 3 * (short.tokens - mean))
    expected = alone(track_selector, by_hand)[0]
    torch.testing.assert_close(alone(amplified.eval(), short)[0], expected, **EXACT)
    first, second = (padded(item.tokens, 3, 9)[0] for item in (short, long))
    frame_mask = torch.arange(9)[None] < torch.tensor([[6], [9]])
    logits, _ = amplified(
        torch.stack([first, second]),
        torch.stack([short.text, long.text]),
        torch.tensor([[True, True, True], [True, True, False]]),
        frame_mask,
    )
    torch.testing.assert_close(logits[0], expected, **EXACT)


def test_selector_without_negative_tokens_scores_and_learns() -> None:
    selector = TrackSelector(TOKEN_DIM, TEXT_DIM, num_negatives=0, num_heads=2, num_groups=4)
    item = sample(4, 9, 5)
    tokens, text = item.tokens[None].float(), item.text[None].float()
    logits, track_tokens = selector(tokens, text)
    labels = torch.tensor([[1.0, 0.0, 0.0, 1.0]])
    loss, alone_loss = (
        alignment_loss(
            SelectorOutputs(logits, track_tokens, k), LossInputs(labels, text), 1.5, 0.07
        )
        for k in (selector.negative_tokens, None)
    )
    torch.testing.assert_close(loss, alone_loss)
    assert logits.isfinite().all()


def test_weights_of_another_width_or_depth_are_refused(track_selector: TrackSelector) -> None:
    weights = reference_state_dict(track_selector)
    deeper = TrackSelector(TOKEN_DIM, TEXT_DIM, num_layers=3, num_negatives=3, num_groups=4)
    with pytest.raises(UserError, match=r"selector weights: .*Missing key.*layers\.2"):
        deeper.load_reference_state_dict(weights)
    wider = TrackSelector(TOKEN_DIM, 32, num_negatives=3, num_groups=4)
    with pytest.raises(UserError, match=r"selector weights: .*size mismatch"):
        wider.load_reference_state_dict(weights)
