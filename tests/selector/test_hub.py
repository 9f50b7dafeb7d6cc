"""Folders that huggingface_hub writes and reads; nothing goes over a network."""

import json
from pathlib import Path

import pytest
import torch
from small_selectors import SMALL, make_selector

from sola.errors import UserError
from sola.selector import Selector
from sola.selector.checkpoint import load_selector

PROVENANCE = {"tracker": "small", "checkpoint_sha256": "0123", "text_encoder": "minilm"}


@pytest.fixture(params=SMALL)
def selector(request: pytest.FixtureRequest) -> Selector:
    selector = make_selector(request.param).eval()
    selector.provenance = dict(PROVENANCE)
    return selector


def test_saved_folder_loads_the_same_selector(tmp_path: Path, selector: Selector) -> None:
    selector.save_pretrained(tmp_path)

    loaded = type(selector).from_pretrained(tmp_path)

    assert loaded.kwargs == selector.kwargs
    torch.testing.assert_close(loaded.state_dict(), selector.state_dict(), rtol=0, atol=0)


def test_folder_is_a_checkpoint_with_provenance(tmp_path: Path, selector: Selector) -> None:
    selector.save_pretrained(tmp_path / "one")
    once, _ = load_selector(tmp_path / "one")
    once.save_pretrained(tmp_path / "two")

    loaded, provenance = load_selector(tmp_path / "two")

    assert provenance == {**PROVENANCE, "selector": selector.description}
    assert selector.description["_target_"] == f"sola.selector.{type(selector).__name__}"
    tokens, text = torch.randn(1, 2, 9, 8), torch.randn(1, 3, 16)
    torch.testing.assert_close(loaded(tokens, text), selector(tokens, text), rtol=0, atol=0)


@pytest.mark.parametrize(
    ("broken", "named"),
    [
        ("model.safetensors", r"model\.safetensors"),
        ("config.json", r"config\.json"),
        ("sola", r"config\.json"),
    ],
)
def test_folder_without_a_selector_is_refused(
    tmp_path: Path, selector: Selector, broken: str, named: str
) -> None:
    selector.save_pretrained(tmp_path)
    if broken == "sola":
        config = json.loads((tmp_path / "config.json").read_text())
        del config["sola"]
        (tmp_path / "config.json").write_text(json.dumps(config))
    else:
        (tmp_path / broken).unlink()
    with pytest.raises(UserError, match=named):
        load_selector(tmp_path)


def test_folder_of_a_run_is_refused_with_its_checkpoint(tmp_path: Path) -> None:
    (tmp_path / "best.ckpt").touch()
    with pytest.raises(UserError, match=r"config\.json.*/best\.ckpt"):
        load_selector(tmp_path)
