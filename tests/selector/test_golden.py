"""The selector against numbers of the reference implementation (a small random network)."""

from pathlib import Path

import numpy as np
import pytest
import torch
from reference_weights import reference_state_dict

from sola.selector import SelectionLoss, TrackSelector
from sola.selector.losses import LossInputs, SelectorOutputs, combine_terms
from sola.training.batch import Sample, collate
from sola.training.module import SelectorModule
from sola.types import Expression

GOLDEN_PATH = Path(__file__).parent / "selector_reference.npz"
CASES = ("case0", "case1", "case2")
TOLERANCES = [(torch.float64, 1e-8), (torch.float32, 1e-4)]


@pytest.fixture(scope="module")
def golden() -> dict[str, np.ndarray]:
    with np.load(GOLDEN_PATH) as archive:
        return {name: archive[name] for name in archive.files}


def reference_weights(golden: dict[str, np.ndarray]) -> dict[str, torch.Tensor]:
    return {
        name.removeprefix("state_dict/"): torch.from_numpy(array)
        for name, array in golden.items()
        if name.startswith("state_dict/")
    }


def reference_selector(golden: dict[str, np.ndarray], dtype: torch.dtype) -> TrackSelector:
    selector = TrackSelector(token_dim=16, text_dim=32, num_negatives=4)
    selector.load_reference_state_dict(reference_weights(golden))
    return selector.to(dtype).eval()


def selection_loss(
    selector: TrackSelector, tokens: torch.Tensor, text: torch.Tensor, labels: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, dict[str, torch.Tensor]]:
    logits, track_tokens = selector(tokens, text)
    outputs = SelectorOutputs(logits, track_tokens, selector.negative_tokens)
    loss = SelectionLoss(1.5, 0.3, 0.07)
    terms = loss(outputs, LossInputs(labels, text))
    return logits, track_tokens, combine_terms(terms, loss.weights, torch.tensor([True]))


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize(("dtype", "tolerance"), TOLERANCES, ids=["float64", "float32"])
def test_scores_losses_and_gradients_equal_the_reference(
    golden: dict[str, np.ndarray], case: str, dtype: torch.dtype, tolerance: float
) -> None:
    selector = reference_selector(golden, dtype)
    tokens, text, labels = (
        torch.from_numpy(golden[f"{case}/{name}"]).to(dtype)[None]
        for name in ("object_tokens", "text_tokens", "labels")
    )

    logits, track_tokens, loss = selection_loss(selector, tokens, text, labels)
    loss["loss"].backward()
    gradients = [p.grad.flatten() for p in selector.parameters() if p.grad is not None]

    found = {
        "score_logits": logits[0],
        "track_tokens": track_tokens[0],
        "bce_loss": loss["bce"],
        "alignment_loss": loss["alignment"],
        "total_loss": loss["loss"],
        "grad_norm": torch.cat(gradients).norm(),
    }
    for name, value in found.items():
        target = golden[f"{case}/{name}"]
        error = np.abs(value.detach().double().numpy() - target).max() / np.abs(target).max()
        assert error < tolerance, f"{name}: relative error {error}"


@pytest.mark.parametrize(("dtype", "tolerance"), TOLERANCES, ids=["float64", "float32"])
def test_batch_of_all_cases_has_their_scores_and_mean_losses(
    golden: dict[str, np.ndarray], dtype: torch.dtype, tolerance: float
) -> None:
    names = ("object_tokens", "text_tokens", "labels")
    cases = [[torch.from_numpy(golden[f"{case}/{n}"]).to(dtype) for n in names] for case in CASES]
    batch = collate(
        [
            Sample(tokens, (text,), labels[None] > 0, (Expression("v", case, "", ()),))
            for case, (tokens, text, labels) in zip(CASES, cases, strict=True)
        ]
    )
    selector = reference_selector(golden, dtype)
    module = SelectorModule(
        selector, SelectionLoss(1.5, 0.3, 0.07), torch.optim.AdamW, None, None
    ).eval()

    loss, logits = module.compute(batch)

    for case, row, count in zip(CASES, logits, batch.num_tracks, strict=True):
        target = golden[f"{case}/score_logits"]
        error = np.abs(row[:count].detach().double().numpy() - target).max() / np.abs(target).max()
        assert error < tolerance
    total = np.mean([golden[f"{case}/total_loss"] for case in CASES])
    assert loss["loss"].item() == pytest.approx(total, rel=tolerance)


def test_weights_survive_the_way_to_the_reference_names_and_back(
    golden: dict[str, np.ndarray],
) -> None:
    weights = reference_weights(golden)

    saved = reference_state_dict(reference_selector(golden, torch.float32))

    assert saved.keys() == weights.keys()
    for name, tensor in weights.items():
        torch.testing.assert_close(saved[name], tensor, rtol=0, atol=0)


def test_copied_numbers_are_the_shared_ones(golden: dict[str, np.ndarray]) -> None:
    shared_path = Path(__file__).parents[3] / "shared" / "golden" / GOLDEN_PATH.name
    if not shared_path.exists():
        pytest.skip(f"{shared_path} is not here")
    with np.load(shared_path) as shared:
        assert set(shared.files) == golden.keys()
        for name in shared.files:
            np.testing.assert_array_equal(shared[name], golden[name])
