"""Selectors other than the paper's: the baseline, and one of a user's own."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from own_parts import FirstTokens
from small_selectors import TRAINED

from sola.config.entry_points import TrainConfig
from sola.errors import UserError
from sola.selector.checkpoint import load_selector
from sola.training.run import train

pytestmark = pytest.mark.usefixtures("dataset")

MakeConfig = Callable[..., TrainConfig]
OWN = """
_target_: own_parts.FirstTokens
token_dim: null
text_dim: null
scale: 0.5
"""


def test_own_selector_in_own_folder_trains_and_loads(
    make_config: MakeConfig, tmp_path: Path
) -> None:
    path = tmp_path / "conf" / "selector" / "first_tokens.yaml"
    path.parent.mkdir(parents=True)
    path.write_text(OWN)
    search = f"hydra.searchpath=[file://{tmp_path / 'conf'}]"
    best_path = train(make_config(search, "selector=first_tokens")).best_path

    with pytest.raises(UserError, match=r"best\.ckpt: .*own_parts\.FirstTokens"):
        load_selector(best_path)
    selector, provenance = load_selector(best_path, own=("own_parts.FirstTokens",))

    assert isinstance(selector, FirstTokens)
    assert provenance["selector"] == {
        "_target_": "own_parts.FirstTokens",
        "token_dim": 8,
        "text_dim": 16,
        "scale": 0.5,
    }
    tokens, text = torch.randn(2, 3, 9, 8), torch.randn(2, 4, 16)
    padded = torch.cat([text, torch.full((2, 1, 16), 7.0)], dim=1)
    logits, _ = selector(tokens, padded, text_mask=torch.arange(5) < torch.tensor([[4], [4]]))
    torch.testing.assert_close(logits, selector(tokens, text)[0])


@pytest.mark.parametrize("name", TRAINED)
def test_selector_learns_and_is_named_in_its_checkpoint(make_config: MakeConfig, name: str) -> None:
    words = (*TRAINED[name], "selector.dropout=0", "trainer.max_epochs=24")

    selector, provenance = load_selector(train(make_config(*words)).best_path)

    assert type(selector).__name__ == name
    assert provenance["selector"]["_target_"] == f"sola.selector.{name}"
    assert provenance["metrics"]["valid/J&F"] > 0.6


def test_run_does_not_resume_with_another_selector(make_config: MakeConfig, tmp_path: Path) -> None:
    last_path = train(make_config("trainer.max_epochs=1")).best_path.with_name("last.ckpt")
    elsewhere = (f"ckpt_path={last_path}", f"paths.output_dir={tmp_path}/more")
    for name, words in TRAINED.items():
        with pytest.raises(UserError, match=rf"last\.ckpt: .*TrackSelector.*{name}"):
            train(make_config(*elsewhere, *words))
    with pytest.raises(UserError, match=r"motion_gain=1,.*selector\.motion_gain=2"):
        train(make_config(*elsewhere, "selector.motion_gain=2"))
    # dropout changes no weight
    train(make_config(*elsewhere, "selector.dropout=0", "trainer.max_epochs=2"))


def test_width_that_differs_from_the_tokens_is_refused(make_config: MakeConfig) -> None:
    with pytest.raises(UserError, match=r"selector\.token_dim: .*8.*got 16"):
        train(make_config("selector.token_dim=16"))


@pytest.mark.parametrize(
    ("overrides", "key"),
    [
        (["selector._target_=sola.selector.Transformer"], r"selector\._target_"),
        (["selector=baseline", "+selector.num_layers=2"], r"selector\.num_layers"),
        (["selector.dropout=much"], r"selector\.dropout"),
    ],
    ids=["class", "argument", "type"],
)
def test_invalid_selector_is_refused(
    make_config: MakeConfig, overrides: list[str], key: str
) -> None:
    with pytest.raises(UserError, match=key):
        make_config(*overrides)
