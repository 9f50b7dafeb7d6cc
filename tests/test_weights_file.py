"""Weights files of torch and safetensors: found in a folder, and freed of wrappers."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from reference_weights import reference_state_dict
from safetensors.torch import save_file
from small_tracker import small_model, small_tracker

from sola.errors import UserError
from sola.selector import TrackSelector
from sola.selector.checkpoint import load_selector
from sola.weights_file import find_weights_file, plain_weights, read_weights

WEIGHTS = {"a.weight": torch.arange(3.0), "module": torch.ones(1)}
IN_PARALLEL = {f"module.{name}": value for name, value in WEIGHTS.items()}
WRAPPED: list[Callable[[Any], Any]] = [
    lambda weights: weights,
    lambda weights: {"model": weights, "optimizer": {"step": 3}},
    lambda weights: {"epoch": 3, "state_dict": weights},
    lambda weights: {"model_state_dict": weights},
    lambda weights: {"ema": {"model": weights}, "step": 1},
    lambda weights: {"model": {"state_dict": {"ema": weights}}},
]


@pytest.mark.parametrize("weights", [WEIGHTS, IN_PARALLEL])
@pytest.mark.parametrize("wrap", WRAPPED)
def test_wrappers_and_prefixes_are_taken_off(
    tmp_path: Path, wrap: Callable[[Any], Any], weights: dict[str, torch.Tensor]
) -> None:
    torch.save(wrap(weights), tmp_path / "w.pt")
    found = plain_weights(read_weights(tmp_path / "w.pt"), tmp_path, "")
    assert {name: value.tolist() for name, value in found.items()} == {
        name: value.tolist() for name, value in WEIGHTS.items()
    }


@pytest.mark.parametrize("content", [[1], {}, {"epoch": 1}, {"model": {"a": "b"}}, {"model": {}}])
def test_file_without_weights_is_named_with_a_fix(content: Any) -> None:
    with pytest.raises(UserError, match=r"^w\.pt: .* Get another\.$"):
        plain_weights(content, Path("w.pt"), "Get another.")


def test_endless_wrapper_is_refused() -> None:
    content: dict[str, Any] = {}
    content["model"] = content
    with pytest.raises(UserError):
        plain_weights(content, Path("w.pt"), "")


@pytest.mark.parametrize("wrap", WRAPPED)
def test_tracker_and_selector_read_the_same_wrappers(
    tmp_path: Path, wrap: Callable[[Any], Any]
) -> None:
    weights = small_model().state_dict()
    torch.save(wrap({f"module.{name}": value for name, value in weights.items()}), tmp_path / "t")
    built = small_tracker(checkpoint=str(tmp_path / "t")).build().state_dict()
    assert all(torch.equal(built[name], value) for name, value in weights.items())

    selector = TrackSelector(token_dim=16, text_dim=32, num_negatives=3)
    torch.save(wrap(reference_state_dict(selector)), tmp_path / "epoch_1.pth")
    loaded = load_selector(tmp_path / "epoch_1.pth")[0].state_dict()
    assert all(torch.equal(loaded[name], value) for name, value in selector.state_dict().items())


def test_tracker_takes_a_folder_and_safetensors(tmp_path: Path) -> None:
    weights = {name: value.contiguous() for name, value in small_model().state_dict().items()}
    save_file(weights, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text("{}")
    for checkpoint in (tmp_path, tmp_path / "model.safetensors"):
        tracker = small_tracker(checkpoint=str(checkpoint))
        assert tracker.check() == {"tracker.checkpoint": tmp_path / "model.safetensors"}
        built = tracker.build().state_dict()
        assert all(torch.equal(built[name], value) for name, value in weights.items())


def test_only_torch_file_of_a_folder_is_taken(tmp_path: Path) -> None:
    for name in ("model.safetensors", "sam.pt"):
        (tmp_path / name).touch()
    assert find_weights_file(str(tmp_path), "k") == tmp_path / "sam.pt"


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["a.pt", "b.pth"], r"2 weights files \(a.pt, b.pth\). Name one of them: k={}/a.pt"),
        (["README.md"], "has no .pt, .pth or .safetensors"),
    ],
)
def test_folder_without_one_weights_file_is_refused(
    tmp_path: Path, names: list[str], words: str
) -> None:
    for name in names:
        (tmp_path / name).touch()
    with pytest.raises(UserError, match=f"^k={tmp_path}: .*{words.format(tmp_path)}"):
        find_weights_file(str(tmp_path), "k")


def test_cut_safetensors_is_damaged(tmp_path: Path) -> None:
    save_file(WEIGHTS, tmp_path / "w.safetensors")
    content = (tmp_path / "w.safetensors").read_bytes()
    for size in (0, 4, len(content) - 1):
        (tmp_path / "w.safetensors").write_bytes(content[:size])
        with pytest.raises(UserError, match=r"w\.safetensors: damaged or cut off"):
            read_weights(tmp_path / "w.safetensors")
