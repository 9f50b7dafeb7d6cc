"""One table: a misspelt command line, and the key and the right name that its message holds."""

from pathlib import Path

import pytest
from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from sola.config import compose
from sola.config.messages import explain, explain_flag
from sola.errors import UserError

MISSPELT = [
    ("train", "trainer.max_epoch=3", "trainer.max_epochs"),
    ("train", "traker=small", "tracker"),
    ("train", "tracker=smal", "tracker=small"),
    ("train", "tracker=smal,small", "tracker=small"),
    ("train", "trainer=5", "single_thread"),
    ("train", "experiment=x", "moving_shapes"),
    ("train", "lr=1", "optimizer.lr"),
    ("train", "optimizer.schedule=cosine", "weight_decay"),
    ("train", "dataset.maker.num_video=3", "dataset.maker.num_videos"),
    ("train", "dataset.maker.num_videos.test=3", "train, valid_u"),
    ("train", "selector.motion_gian=8", "selector.motion_gain"),
    ("train", "callbacks.early_stoping.patience=3", "callbacks.early_stopping.patience"),
    ("train", "prompt_source=gt", "text_encoder"),
    ("train", "hydra.runn.dir=x", "--cfg hydra"),
    ("train", "trainer.profiler=simple", "+trainer.profiler="),
    ("train", "+trainer.max_epochs=1", "trainer.max_epochs="),
    ("train", "+logger=csv", "logger="),
    ("train", "scheduler=null", "~scheduler"),
    ("train", "data.train_sources=gt,grid", "data.train_sources=[gt,grid]"),
    ("train", "dataset.root=${dataset.rot}", "dataset.rot"),
    ("train", "data.train_sources=[gt", "'key=[a,b]'"),
    ("train", "logger", "key=value"),
    ("generate", "spilt=train", "split"),
    ("generate", "prompt_source.max_tracks=3", "prompt_source.rule.max_tracks"),
    ("evaluate", "metrics=[success]", "metric"),
    ("evaluate", "metric=success", "--config-dir"),
    ("predict", "prompt_source@prompt_sources.grid=grit", "prompt_source@prompt_sources.grid=grid"),
    # what Hydra composes, and the check of the arguments refuses
    ("train", "+foo=1", "threshold"),
    ("train", "++foo=1", "threshold"),
    ("train", "+trainer.max_epoch=1", "trainer.max_epochs"),
    ("train", "+callbacks.best_checkpoint.mod=min", "callbacks.best_checkpoint.mode"),
    ("train", "trainer.max_epochs=three", "integer"),
    ("train", "optimizer.lr=fast", "number"),
    ("train", "resume=maybe", "boolean"),
    ("train", "data.train_sources=gt", "list"),
    ("train", "selector.token_dim=???", "selector.token_dim=..."),
    ("train", "~loss", "loss=..."),
    ("train", "loss._target_=sola.selector.SelectonLoss", "SelectionLoss"),
    ("train", "optimizer._target_=troch.optim.AdamW", "troch"),
    ("train", "+trainer.logger=true", "group logger"),
]


def message_of(entry: str, overrides: list[str]) -> str:
    """What a command line is answered with; the words before the last one are right."""
    try:
        compose(entry, overrides)
    except UserError as error:
        return str(error)
    except (HydraException, OmegaConfBaseException, ValueError) as error:
        return explain(error, entry, overrides)
    raise AssertionError(f"{overrides} is accepted")


@pytest.mark.parametrize(("entry", "override", "right"), MISSPELT, ids=[m[1] for m in MISSPELT])
def test_misspelt_command_line_names_key_and_right_name(
    tmp_path: Path, entry: str, override: str, right: str
) -> None:
    required = {"generate": "split=train", "evaluate": "ckpt_path=x", "predict": "ckpt_path=x"}
    sound = [required.get(entry, "seed=1"), f"paths.output_dir={tmp_path}"]

    message = message_of(entry, [*sound, override])

    assert message.startswith(override.lstrip("+~").split("=")[0])
    assert right in message.partition(":")[2]
    assert "\n" not in message


def test_group_that_another_group_brings_is_known() -> None:
    gdino = ["split=train", "paths.output_dir=x", "prompt_source=gdino"]

    message = message_of("generate", [*gdino, "detector@prompt_source.detector=swin_x"])

    assert "detector@prompt_source.detector=swin_t" in message


def test_misspelt_key_in_a_users_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "loss").mkdir()
    file = tmp_path / "loss" / "mine.yaml"
    file.write_text("_target_: sola.selector.SelectionLoss\ntemprature: 1\n")
    search = f"hydra.searchpath=[file://{tmp_path}]"

    message = message_of("train", [search, "paths.output_dir=x", "loss=mine"])

    assert message == "loss.temprature: unknown key. Did you mean loss.temperature?"


def test_users_folder_is_searched_for_the_nearest_file(tmp_path: Path) -> None:
    (tmp_path / "loss").mkdir()
    (tmp_path / "loss" / "mine.yaml").write_text("_target_: sola.selector.SelectionLoss\n")
    overrides = ["paths.output_dir=x", "loss=mien"]
    with pytest.raises(HydraException) as error:
        compose("train", overrides)

    message = explain(error.value, "train", overrides, config_dir=str(tmp_path))

    assert "Did you mean loss=mine?" in message


def test_file_that_is_no_yaml_is_named_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "loss").mkdir()
    (tmp_path / "loss" / "mine.yaml").write_text("a: 1\nb: [\nc: 2\n")
    search = f"hydra.searchpath=[file://{tmp_path}]"
    with pytest.raises(YAMLError) as error:
        compose("train", [search, "paths.output_dir=x", "loss=mine"])

    message = explain(error.value, "train", [])

    assert message.startswith(f"{tmp_path / 'loss' / 'mine.yaml'}, line ")


def test_misspelt_flag_names_the_right_one() -> None:
    message = explain_flag("unrecognized", ["--help", "--multirun"], ["seed=1", "--hlep"])

    assert message.startswith("--hlep")
    assert "--help" in message
