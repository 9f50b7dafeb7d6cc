"""The small selector that others are compared with."""

import pytest
import torch

from sola.selector.baseline import BaselineSelector
from sola.selector.losses import LossInputs, SelectionLoss, SelectorOutputs, combine_terms

EXACT = {"rtol": 1e-10, "atol": 1e-10}


@pytest.fixture
def selector() -> BaselineSelector:
    torch.manual_seed(0)
    return BaselineSelector(8, 16, hidden_dim=4).double().eval()


def test_scores_are_of_mean_tokens_and_mean_text(selector: BaselineSelector) -> None:
    tokens, text = torch.randn(2, 3, 5, 8).double(), torch.randn(2, 4, 16).double()

    logits, track_tokens = selector(tokens, text)

    for row in range(2):
        expected = selector.mlp(tokens[row].mean(dim=1))
        torch.testing.assert_close(track_tokens[row], expected, **EXACT)
        torch.testing.assert_close(logits[row], expected @ text[row].mean(dim=0), **EXACT)


def test_padding_permutation_and_company_change_no_score(selector: BaselineSelector) -> None:
    tokens, text = torch.randn(1, 3, 5, 8).double(), torch.randn(1, 4, 16).double()
    expected, _ = selector(tokens, text)
    many = torch.full((2, 6, 9, 8), 7.0).double()
    many[1, :3, :5] = tokens[0].flip(0)
    longer = torch.full((3, 7, 16), 7.0).double()
    longer[2, :4] = text[0]

    logits, _ = selector(
        many,
        longer,
        torch.arange(6) < torch.tensor([[6], [3]]),
        torch.arange(9) < torch.tensor([[9], [5]]),
        torch.arange(7) < torch.tensor([[7], [1], [4]]),
        video_idx=torch.tensor([0, 0, 1]),
    )

    torch.testing.assert_close(logits[2, :3], expected[0].flip(0), **EXACT)
    assert expected[0].unique().numel() == 3, "equal scores would prove nothing"


def test_it_learns_without_negative_tokens(selector: BaselineSelector) -> None:
    tokens, text = torch.randn(1, 4, 5, 8).double(), torch.randn(1, 4, 16).double()
    labels = torch.tensor([[1.0, 0.0, 0.0, 1.0]]).double()
    logits, track_tokens = selector.train()(tokens, text)
    assert selector.negative_tokens is None

    loss = SelectionLoss(1.5, 0.3, 0.07)
    terms = loss(SelectorOutputs(logits, track_tokens, None), LossInputs(labels.double(), text))
    combine_terms(terms, loss.weights, torch.tensor([True]))["loss"].backward()

    for name, parameter in selector.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().max() > 0, name


def test_no_tracks_have_no_scores(selector: BaselineSelector) -> None:
    logits, track_tokens = selector(torch.zeros(1, 0, 5, 8).double(), torch.ones(2, 4, 16).double())
    assert logits.shape == (2, 0)
    assert track_tokens.shape == (2, 0, 16)
