"""Selectors from files: ours, the reference's, and files that are neither."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from own_parts import FirstTokens
from reference_weights import reference_state_dict
from small_selectors import SMALL, make_selector

from sola.errors import UserError
from sola.selector import TrackSelector
from sola.selector.checkpoint import load_selector

KWARGS: dict[str, int] = {"token_dim": 8, "text_dim": 16, "num_layers": 1, "num_negatives": 3}


@pytest.fixture
def selector() -> TrackSelector:
    torch.manual_seed(0)
    return TrackSelector(**KWARGS).eval()


def test_reference_checkpoint_loads_with_widths_of_its_weights(
    tmp_path: Path, selector: TrackSelector
) -> None:
    path = tmp_path / "epoch_3.pth"
    torch.save(reference_state_dict(selector), path)

    loaded, provenance = load_selector(path)

    tokens, text = torch.randn(1, 2, 9, 8), torch.randn(1, 3, 16)
    torch.testing.assert_close(loaded(tokens, text), selector(tokens, text))
    assert provenance["selector"]["num_layers"] == 1
    assert not loaded.training


@pytest.mark.parametrize("name", SMALL)
def test_own_checkpoint_carries_provenance(tmp_path: Path, name: str) -> None:
    selector, path = make_selector(name).eval(), tmp_path / "best.ckpt"
    state_dict = {f"selector.{name}": tensor for name, tensor in selector.state_dict().items()}
    provenance = {"selector": selector.description, "tracker": "small", "threshold": 0.5}
    torch.save({"state_dict": state_dict, "sola": provenance}, path)

    loaded, found = load_selector(path)

    assert type(loaded) is type(selector)
    assert not loaded.training
    assert found == provenance
    torch.testing.assert_close(loaded.state_dict(), selector.state_dict())


@pytest.mark.parametrize(
    "content",
    [
        None,
        b"not a checkpoint",
        {"model": {"weight": torch.zeros(1)}},
        torch.zeros(1),
        {"path": Path("/")},
        {"negative_token.weight": torch.zeros(3, 16)},
        {"negative_token.weight": torch.zeros(3, 12)},
    ],
    ids=["missing", "bytes", "other model", "tensor", "code", "names missing", "width"],
)
def test_file_without_a_selector_is_refused(tmp_path: Path, content: Any) -> None:
    path = tmp_path / "selector.pth"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        torch.save(content, path)
    with pytest.raises(UserError, match=r"selector\.pth: "):
        load_selector(path)


class TestClassesOfCheckpoints:
    """A checkpoint may have come from anybody: it names a class, and only known ones load."""

    @pytest.fixture
    def module(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
        """A module that may not be imported."""
        (tmp_path / "unknown_module.py").write_text("raise SystemExit('imported')")
        monkeypatch.syspath_prepend(tmp_path)
        return "unknown_module"

    @pytest.fixture
    def write(self, tmp_path: Path) -> Callable[[Any], Path]:
        """Writes a checkpoint of FirstTokens, or one with another description."""

        def write(description: Any = None) -> Path:
            selector = FirstTokens(8, 16)
            weights = {f"selector.{name}": value for name, value in selector.state_dict().items()}
            said = {"selector": selector.description if description is None else description}
            torch.save({"state_dict": weights, "sola": said}, tmp_path / "best.ckpt")
            return tmp_path / "best.ckpt"

        return write

    def test_own_class_loads_only_where_it_is_named(self, write: Callable[..., Path]) -> None:
        path = write()
        for own in ((), ("own_parts.Other",)):
            with pytest.raises(UserError, match=r"best\.ckpt: .*own_parts\.FirstTokens"):
                load_selector(path, own=own)

        selector, _ = load_selector(path, own=("own_parts.FirstTokens",))

        assert isinstance(selector, FirstTokens)

    @pytest.mark.parametrize(
        "arguments",
        [
            {"_target_": "{module}.Selector"},
            {"dropout": {"_target_": "{module}.Selector"}},
            {"motion_strides": [2, {"_target_": "{module}.Selector"}]},
            {"motion_strides": [[{"a": {"_target_": "{module}.Selector"}}]]},
        ],
        ids=["outside", "nested", "in a list", "deep"],
    )
    def test_unknown_class_is_refused_without_an_import(
        self, write: Callable[..., Path], module: str, arguments: dict[str, Any]
    ) -> None:
        arguments = json.loads(json.dumps(arguments).replace("{module}", module))
        sizes = {"token_dim": 8, "text_dim": 16}
        path = write({"_target_": "sola.selector.TrackSelector", **sizes, **arguments})
        with pytest.raises(UserError, match=r"best\.ckpt: "):
            load_selector(path)
        assert module not in sys.modules

    @pytest.mark.parametrize(
        "description",
        [
            {"_target_": "sola.selector.losses.SelectionLoss"},
            {"_target_": "sola.selector.base.json.dumps", "obj": 1},
            {"_target_": "sola.selector.Other"},
            {"_target_": "sola.selector.TrackSelector", "token_dim": 8, "text_dim": 16, "lr": 1},
            {"_target_": 3},
            {"token_dim": 8},
            ["sola.selector.TrackSelector"],
        ],
        ids=["loss", "function", "missing", "argument", "number", "no class", "list"],
    )
    def test_description_of_no_selector_is_refused(
        self, write: Callable[..., Path], description: Any
    ) -> None:
        with pytest.raises(UserError, match=r"best\.ckpt: |best\.ckpt\._target_: "):
            load_selector(write(description))
