"""Other selectors: the baseline, and one that is added as docs/adding_a_selector.md tells."""

import dataclasses
import re
import shutil
from pathlib import Path

import pytest
import torch

import sola.selector
from sola.config import compose
from sola.config.conversion import CONF_DIR
from sola.config.schema import SelectorConfig, TrainConfig
from sola.selector import build_selector
from sola.selector.checkpoint import load_selector
from sola.training.run import run_training

DOCUMENT = Path(__file__).parents[2] / "docs" / "adding_a_selector.md"


def example(language: str) -> str:
    """The document's one block of code in a language."""
    (code,) = re.findall(rf"```{language}\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    return str(code)


@pytest.fixture
def dataset(write_tracks, write_split, letter_encoder) -> None:
    for split in ("train", "valid_u"):
        write_split(split)
        write_tracks(split, "grid")
    write_tracks("train", "gt")


@pytest.fixture
def added(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SelectorConfig:
    """The selector of the document, its two files in place."""
    code_dir, conf_dir = tmp_path / "code", tmp_path / "conf"
    code_dir.mkdir()
    (code_dir / "first_frame.py").write_text(example("python"))
    monkeypatch.setattr(sola.selector, "__path__", [*sola.selector.__path__, str(code_dir)])
    shutil.copytree(CONF_DIR, conf_dir)
    (conf_dir / "selector" / "first_frame.yaml").write_text(example("yaml"))
    overrides = ["selector=first_frame", f"paths.output_dir={tmp_path}", "dataset=mevis"]
    config: SelectorConfig = compose("train", overrides, conf_dir).selector
    return config


def test_the_documents_example_trains_and_loads(
    config: TrainConfig, dataset: None, added: SelectorConfig
) -> None:
    assert (added.name, added.token_dim, added.text_dim) == ("first_frame", 256, 1024)
    added.token_dim, added.text_dim = config.selector.token_dim, config.selector.text_dim
    config.selector = added

    selector, provenance = load_selector(run_training(config))

    assert type(selector).__name__ == "FirstFrameSelector"
    assert provenance["selector"] == {
        "name": "first_frame",
        "token_dim": 8,
        "text_dim": 16,
        "scale": 0.5,
    }
    tokens, text = torch.randn(2, 3, 9, 8), torch.randn(2, 4, 16)
    padded = torch.cat([text, torch.full((2, 1, 16), 7.0)], dim=1)
    logits, _ = selector(tokens, padded, text_mask=torch.arange(5) < torch.tensor([[4], [4]]))
    torch.testing.assert_close(logits, selector(tokens, text)[0])


def test_the_baseline_learns_and_its_checkpoint_knows_it(
    config: TrainConfig, dataset: None
) -> None:
    config.selector = SelectorConfig("baseline", token_dim=8, text_dim=16, dropout=0.0)
    config.trainer.max_epochs = 24

    selector, provenance = load_selector(run_training(config))

    assert selector.name == provenance["selector"]["name"] == "baseline"
    assert provenance["metrics"]["valid/J&F"] > 0.6


def test_a_run_does_not_go_on_with_another_selector(config: TrainConfig, dataset: None) -> None:
    config.ckpt_path = str(run_training(config).with_name("last.ckpt"))
    own, config.selector = config.selector, SelectorConfig("baseline", token_dim=8, text_dim=16)
    with pytest.raises(ValueError, match=r"has name=track_selector, selector\.name is baseline"):
        run_training(config)
    config.selector = dataclasses.replace(own, options={"motion_gain": 2})
    with pytest.raises(ValueError, match=r"motion_gain=1.*, selector\.options\.motion_gain is 2"):
        run_training(config)


def test_options_do_not_stand_in_for_keys(config: TrainConfig, dataset: None) -> None:
    config.selector.options = {"dropout": 0.9}
    with pytest.raises(ValueError, match=r"selector\.options\.dropout: is a key of its own"):
        run_training(config)


@pytest.mark.parametrize(
    ("name", "kwargs", "message"),
    [
        ("transformer", {}, "there is no sola/selector/transformer.py"),
        ("losses", {}, "losses.py must define one class of Selector"),
        ("base", {}, "base.py must define one class of Selector"),
        ("baseline", {"num_layers": 2}, "selector.num_layers: baseline does not take it; it takes"),
    ],
)
def test_what_is_no_selector_or_no_argument_is_refused(
    name: str, kwargs: dict[str, int], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        build_selector(name, **kwargs)
