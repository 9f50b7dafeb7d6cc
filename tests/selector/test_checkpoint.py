"""Selectors from files: ours, the reference's, and files that are neither."""

from pathlib import Path
from typing import Any

import pytest
import torch

from sola.selector import TrackSelector
from sola.selector.checkpoint import load_selector

KWARGS: dict[str, int] = {"token_dim": 8, "text_dim": 16, "num_layers": 1, "num_negatives": 3}


@pytest.fixture
def selector() -> TrackSelector:
    torch.manual_seed(0)
    return TrackSelector(**KWARGS).eval()


def test_the_references_checkpoint_loads_with_the_widths_of_its_weights(
    tmp_path: Path, selector: TrackSelector
) -> None:
    path = tmp_path / "epoch_3.pth"
    torch.save(selector.reference_state_dict(), path)

    loaded, provenance = load_selector(path)

    tokens, text = torch.randn(1, 2, 9, 8), torch.randn(1, 3, 16)
    torch.testing.assert_close(loaded(tokens, text), selector(tokens, text))
    assert provenance["selector"]["num_layers"] == 1
    assert not loaded.training


def test_our_checkpoint_says_where_it_comes_from(tmp_path: Path, selector: TrackSelector) -> None:
    path = tmp_path / "best.ckpt"
    state_dict = {f"selector.{name}": tensor for name, tensor in selector.state_dict().items()}
    provenance = {"selector": selector.description, "tracker": "small", "threshold": 0.5}
    torch.save({"state_dict": state_dict, "sola": provenance}, path)

    loaded, found = load_selector(path)

    assert found == provenance
    torch.testing.assert_close(loaded.state_dict(), selector.state_dict())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no such checkpoint. Run train.py"),
        (b"not a checkpoint", r"selector.pth: .* best.ckpt"),
        ({"model": {"weight": torch.zeros(1)}}, r"not a selector checkpoint \(found \['model'\]\)"),
        (torch.zeros(1), "holds a Tensor, not a checkpoint"),
        ({"path": Path("/")}, "selector.pth"),
        ({"negative_token.weight": torch.zeros(3, 16)}, r"selector.pth: .* names missing"),
        ({"negative_token.weight": torch.zeros(3, 12)}, r"selector.pth: .*12"),
    ],
)
def test_a_file_that_is_no_selector_is_one_clear_message(
    tmp_path: Path, content: Any, message: str
) -> None:
    path = tmp_path / "selector.pth"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        torch.save(content, path)
    with pytest.raises(ValueError, match=message):
        load_selector(path)
