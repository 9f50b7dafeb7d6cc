"""Losses against plain loops over tracks and negatives."""

import math

import pytest
import torch
from torch import Tensor

from sola.selector.losses import (
    LossInputs,
    SelectionLoss,
    SelectorOutputs,
    alignment_loss,
    classification_loss,
    combine_terms,
)

B, N, L, K, E = 3, 4, 5, 3, 8
NUM_TRACKS = [4, 2, 0]
NUM_TEXT = [5, 3, 1]


@pytest.fixture
def batch() -> dict[str, Tensor]:
    torch.manual_seed(0)
    tracks, text = torch.arange(N), torch.arange(L)
    return {
        "logits": torch.randn(B, N).double(),
        "track_tokens": torch.randn(B, N, E).double(),
        "text": torch.randn(B, L, E).double(),
        "negatives": torch.randn(K, E).double(),
        "labels": (torch.rand(B, N) < 0.5).double(),
        "track_mask": tracks < torch.tensor(NUM_TRACKS)[:, None],
        "text_mask": text < torch.tensor(NUM_TEXT)[:, None],
    }


def outputs_of(batch: dict[str, Tensor]) -> SelectorOutputs:
    return SelectorOutputs(*(batch[name] for name in ("logits", "track_tokens", "negatives")))


def inputs_of(batch: dict[str, Tensor]) -> LossInputs:
    return LossInputs(*(batch[name] for name in ("labels", "text", "track_mask", "text_mask")))


def cross_entropy(logit: float, target: float) -> float:
    score = 1 / (1 + math.exp(-logit))
    return -target * math.log(score) - (1 - target) * math.log(1 - score)


def plain_classification_loss(batch: dict[str, Tensor], row: int) -> float:
    total = 0.0
    for idx in range(NUM_TRACKS[row]):
        label = batch["labels"][row, idx].item()
        weight = 1.5 if label else 1.0
        total += weight * cross_entropy(batch["logits"][row, idx].item(), label)
    return total / max(NUM_TRACKS[row], 1)


def plain_alignment_loss(batch: dict[str, Tensor], row: int) -> float:
    scale = math.exp(0.07)
    mean_text = batch["text"][row, : NUM_TEXT[row]].mean(dim=0)
    positive = negative = 0.0
    for idx in range(NUM_TRACKS[row]):
        token, label = batch["track_tokens"][row, idx], batch["labels"][row, idx].item()
        positive += cross_entropy(scale * (token @ mean_text).item(), label)
        dots = [(token @ negative_token).item() for negative_token in batch["negatives"]]
        for k, dot in enumerate(dots):
            target = 1 - label if k == dots.index(max(dots)) else 0
            negative += cross_entropy(scale * dot, target)
    count = max(NUM_TRACKS[row], 1)
    return 1.5 * positive / count + negative / (count * K)


def test_each_samples_loss_equals_a_plain_loop(batch: dict[str, Tensor]) -> None:
    outputs, inputs = outputs_of(batch), inputs_of(batch)
    bce = classification_loss(outputs, inputs, 1.5)
    alignment = alignment_loss(outputs, inputs, 1.5, 0.07)
    for row in range(B):
        assert bce[row].item() == pytest.approx(plain_classification_loss(batch, row), rel=1e-12)
        assert alignment[row].item() == pytest.approx(plain_alignment_loss(batch, row), rel=1e-12)


def test_batch_has_the_mean_loss_of_its_samples_that_have_tracks() -> None:
    bce, alignment = torch.tensor([1.0, 3.0, 0.0]), torch.tensor([10.0, 30.0, 0.0])
    has_tracks = torch.tensor([True, True, False])

    terms, weights = {"bce": bce, "alignment": alignment}, {"bce": 1.0, "alignment": 0.5}
    loss = combine_terms(terms, weights, has_tracks)

    assert loss == {"bce": 2, "alignment": 20, "loss": 12}


def test_samples_without_tracks_have_no_loss_and_no_gradient() -> None:
    logits = torch.zeros(2, 0, requires_grad=True)
    outputs = SelectorOutputs(logits, torch.zeros(2, 0, E), None)
    bce = classification_loss(outputs, LossInputs(torch.zeros(2, 0), torch.zeros(2, L, E)), 1.5)
    loss = combine_terms({"bce": bce}, {"bce": 1.0}, torch.tensor([False, False]))
    loss["loss"].backward()
    assert loss["loss"] == 0


@pytest.mark.parametrize("positive_weight", [1.5, 2.0])
def test_selection_loss_has_the_terms_of_its_functions(
    batch: dict[str, Tensor], positive_weight: float
) -> None:
    outputs, inputs = outputs_of(batch), inputs_of(batch)
    loss = SelectionLoss(positive_weight, alignment_weight=0.2, temperature=0.07)

    terms = loss(outputs, inputs)

    assert loss.weights == {"bce": 1.0, "alignment": 0.2}
    expected = classification_loss(outputs, inputs, positive_weight)
    torch.testing.assert_close(terms["bce"], expected)
    expected = alignment_loss(outputs, inputs, positive_weight, 0.07)
    torch.testing.assert_close(terms["alignment"], expected)


def test_terms_and_weights_of_different_names_are_refused() -> None:
    term, has_tracks = torch.ones(2), torch.tensor([True, True])
    for terms in ({"bce": term}, {"bce": term, "error": term, "size": term}):
        with pytest.raises(ValueError, match="error"):
            combine_terms(terms, {"bce": 1.0, "error": 1.0}, has_tracks)
