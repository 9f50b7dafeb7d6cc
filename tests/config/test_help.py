"""What --help shows, and in which order."""

import re

import pytest
import yaml

from sola.config.conversion import CONF_DIR, SCHEMAS
from sola.config.help import help_text

OWN = {
    "generate": ["split", "checkpoint", "token_dtype", "seed", "part", "num_parts", "strict"],
    "train": ["threshold", "ckpt_path", "resume", "seed"],
    "evaluate": ["ckpt_path", "predictions", "split", "sources", "threshold", "metrics", "report"],
    "predict": ["ckpt_path", "split", "sources", "threshold", "video", "expressions"],
    "check": ["split", "decode", "num_threads"],
}


def parts_of(text: str) -> list[str]:
    """Header, own keys, groups, sections with the end."""
    return re.split(r"^== .* ==\n.*\n\n", text, flags=re.MULTILINE)


@pytest.mark.parametrize("entry", SCHEMAS)
def test_a_commands_own_keys_come_first_then_groups_then_sections(entry: str) -> None:
    header, own, groups, sections = parts_of(help_text(entry))

    assert len(re.findall(r"^  python ", header, re.MULTILINE)) == 3
    assert set(OWN[entry]) <= yaml.safe_load(own).keys()
    assert all(not isinstance(value, dict) for value in yaml.safe_load(own).values())
    assert groups.startswith("dataset: moving_shapes; or mevis, ")
    assert "\ndataset:\n  name: moving_shapes\n" in sections


def test_of_a_sweep_the_first_job_is_shown() -> None:
    assert "\n  dropout: 0.1\n" in help_text("train", ["selector.dropout=0.1,0.2"])
    assert "\nseed: 3\n" in help_text("train", ["seed=range(3,5)", "data.train_sources=[gt,grid]"])


def test_lists_stand_as_they_are_typed() -> None:
    assert "\nsources: [grid]\n" in help_text("predict")
    assert "\nexpressions: []\n" in help_text("predict")


@pytest.mark.parametrize("entry", SCHEMAS)
def test_the_last_line_names_the_page_that_explains(entry: str) -> None:
    assert "outputs/docs/options.html" in help_text(entry).splitlines()[-1]


def test_values_are_those_that_the_command_would_take() -> None:
    text = help_text("train", ["dataset=mevis", "seed=7", "trainer=ddp"])

    assert "\nseed: 7\n" in text
    assert "\ndataset: mevis; or mevis_and_ref_youtube_vos, " in text
    assert "\ntrainer: ddp; or cpu, " in text
    assert "\n  strategy: ddp\n" in text


def test_groups_are_those_that_the_command_takes() -> None:
    generate, evaluate, predict = map(help_text, ("generate", "evaluate", "predict"))

    assert "\nlogger: none; or csv, tensorboard, wandb\n" in generate
    assert "\nprompt_source/detector_network: none; or swin_b, swin_t\n" in generate
    for absent in ("selector", "logger", "experiment"):
        assert f"\n{absent}:" not in evaluate
    assert "\nprompt_source@prompt_sources.grid: grid; or gdino, gt\n" in predict


@pytest.mark.parametrize("group", ["tracker", "dataset", "selector", "trainer"])
def test_every_choice_of_a_group_is_listed(group: str) -> None:
    listed = re.search(rf"^{group}: (.*(?:\n  .*)*)", parts_of(help_text("train"))[2], re.MULTILINE)
    assert listed

    names = re.findall(r"[\w.]+", listed[1].replace("; or", ""))
    assert sorted(names) == sorted(path.stem for path in (CONF_DIR / group).glob("*.yaml"))
