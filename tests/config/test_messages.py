"""One table: a misspelt command line, and the key and the right name that its message holds."""

import sys
from pathlib import Path

import pytest
from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from sola.config import compose, main
from sola.config.messages import message_of
from sola.errors import UserError

MISSPELT = [
    ("train", "trainer.max_epoch=3", "trainer.max_epochs"),
    ("train", "tracker=smal", "tracker=small"),
    ("train", "lr=1", "optimizer.lr"),
    ("train", "dataset.maker.num_video=3", "dataset.maker.num_videos"),
    ("train", "selector.motion_gian=8", "selector.motion_gain"),
    ("train", "callbacks.early_stoping.patience=3", "callbacks.early_stopping"),
    ("train", "hydra.runn.dir=x", "hydra.run"),
    ("train", "trainer.profiler=simple", "+trainer.profiler="),
    ("train", "+trainer.max_epochs=1", "trainer.max_epochs="),
    ("train", "+logger=csv", "logger"),
    ("train", "data.train_sources=gt,grid", "--multirun"),
    ("train", "dataset.root=${dataset.rot}", "dataset.rot"),
    ("train", "data.train_sources=[gt", "'key=[a,b]'"),
    ("evaluate", "metrics=[success]", "metric"),
    ("predict", "prompt_source@prompt_sources.grid=grit", "prompt_source=grid"),
    # what Hydra composes, and the check of the arguments refuses
    ("train", "+foo=1", "threshold"),
    ("train", "+callbacks.best_checkpoint.mod=min", "callbacks.best_checkpoint.mode"),
    ("train", "optimizer.lr=fast", "number"),
    ("train", "data.train_sources=gt", "array"),
    ("train", "selector.token_dim=???", "selector.token_dim=..."),
    ("train", "~loss", "loss=..."),
    ("train", "loss._target_=sola.selector.SelectonLoss", "SelectionLoss"),
    ("train", "+trainer.logger=true", "group logger"),
]


def answer_to(entry: str, overrides: list[str]) -> str:
    """The message for a command line; the words before the last one are right."""
    with pytest.raises((UserError, HydraException, OmegaConfBaseException, YAMLError)) as error:
        compose(entry, overrides)
    message = message_of(error.value)
    assert message is not None
    return message


@pytest.mark.parametrize(("entry", "override", "right"), MISSPELT, ids=[m[1] for m in MISSPELT])
def test_misspelt_command_line_names_key_and_right_name(
    tmp_path: Path, entry: str, override: str, right: str
) -> None:
    required = {"generate": "split=train", "evaluate": "ckpt_path=x", "predict": "ckpt_path=x"}
    sound = [required.get(entry, "seed=1"), f"paths.output_dir={tmp_path}"]

    message = answer_to(entry, [*sound, override])

    assert override.lstrip("+~").replace("@", "=").partition("=")[0].partition(".")[0] in message
    assert right in message


def test_misspelt_key_in_a_users_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "loss").mkdir()
    file = tmp_path / "loss" / "mine.yaml"
    file.write_text("_target_: sola.selector.SelectionLoss\ntemprature: 1\n")
    search = f"hydra.searchpath=[file://{tmp_path}]"

    message = answer_to("train", [search, "paths.output_dir=x", "loss=mine"])

    assert message == "loss.temprature: unknown key. Did you mean loss.temperature?"


def test_choices_of_a_users_folder_are_known(tmp_path: Path) -> None:
    (tmp_path / "loss").mkdir()
    (tmp_path / "loss" / "mine.yaml").write_text("_target_: sola.selector.SelectionLoss\n")
    search = f"hydra.searchpath=[file://{tmp_path}]"

    message = answer_to("train", [search, "paths.output_dir=x", "loss=mien"])

    assert "Did you mean loss=mine?" in message


def test_invalid_yaml_is_named_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "loss").mkdir()
    (tmp_path / "loss" / "mine.yaml").write_text("a: 1\nb: [\nc: 2\n")
    search = f"hydra.searchpath=[file://{tmp_path}]"

    message = answer_to("train", [search, "paths.output_dir=x", "loss=mine"])

    assert message.startswith(f"{tmp_path / 'loss' / 'mine.yaml'}, line ")


def test_misspelt_flag_is_named_with_status_1(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["train.py", "--hlep"])
    with pytest.raises(SystemExit) as end:
        main("train", lambda: print)
    assert end.value.code == 1
    assert "--hlep" in capsys.readouterr().err
