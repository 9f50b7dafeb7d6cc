"""What --help shows, and in which order."""

import re

import pytest
import yaml

from sola.config.composition import CONF_DIR, ENTRIES
from sola.config.help import help_text

OWN = {
    "generate": ["split", "token_dtype", "seed", "part", "num_parts", "strict"],
    "train": ["threshold", "ckpt_path", "resume", "seed"],
    "evaluate": ["ckpt_path", "predictions", "split", "sources", "threshold", "report"],
    "predict": ["ckpt_path", "split", "sources", "threshold", "video", "expressions"],
    "check": ["split", "decode", "num_threads"],
}


def parts_of(text: str) -> list[str]:
    """Header, own keys, groups, sections with the end."""
    return re.split(r"^== .* ==\n.*\n\n", text, flags=re.MULTILINE)


@pytest.mark.parametrize("entry", ENTRIES)
def test_own_keys_come_first_then_groups_then_sections(entry: str) -> None:
    header, own, groups, sections = parts_of(help_text(entry))

    assert len(re.findall(r"^  (python|sola) ", header, re.MULTILINE)) == 3
    assert set(OWN[entry]) <= yaml.safe_load(own).keys()
    assert all(not isinstance(value, dict) for value in yaml.safe_load(own).values())
    assert re.search(r"^dataset: moving_shapes; or mevis, ", groups, re.MULTILINE)
    assert "\ndataset:\n" in sections


def test_first_job_of_a_sweep_is_shown() -> None:
    assert "\n  dropout: 0.1\n" in help_text("train", ["selector.dropout=0.1,0.2"])
    assert "\nseed: 3\n" in help_text("train", ["seed=range(3,5)", "data.train_sources=[gt,grid]"])


def test_lists_are_written_as_they_are_typed() -> None:
    text = help_text("predict", ["sources=[grid]"])

    assert "\nsources: [grid]\n" in text
    assert "\nexpressions: []\n" in text


@pytest.mark.parametrize("entry", ENTRIES)
def test_last_line_names_the_page_of_options(entry: str) -> None:
    assert "outputs/docs/options.html" in help_text(entry).splitlines()[-1]


def test_network_of_the_tracker_is_left_out() -> None:
    text = help_text("train")

    assert "sam2.modeling" not in text


def test_values_follow_the_overrides() -> None:
    text = help_text("train", ["dataset=mevis", "seed=7", "trainer=ddp"])

    assert "\nseed: 7\n" in text
    assert "\ndataset: mevis; or mevis_and_ref_youtube_vos, " in text
    assert "\ntrainer: ddp; or cpu, " in text
    assert "\n  strategy: ddp\n" in text


def test_groups_are_those_of_the_command() -> None:
    generate, evaluate, predict = map(help_text, ("generate", "evaluate", "predict"))

    assert "\nlogger: none; or csv, tensorboard, wandb\n" in generate
    assert "\nmetric: none\n" in evaluate
    for absent in ("loss", "logger", "experiment"):
        assert f"\n{absent}:" not in evaluate
    assert "\nprompt_source@prompt_sources.grid: grid; or gdino, gt\n" in predict
    gdino = help_text("generate", ["prompt_source=gdino"])
    assert "\ndetector@prompt_source.detector: swin_t; or swin_b\n" in gdino


@pytest.mark.parametrize("group", ["tracker", "dataset", "selector", "trainer"])
def test_every_choice_of_a_group_is_listed(group: str) -> None:
    listed = re.search(rf"^{group}: (.*(?:\n  .*)*)", parts_of(help_text("train"))[2], re.MULTILINE)
    assert listed

    names = re.findall(r"[\w.]+", listed[1].replace("; or", ""))
    assert sorted(names) == sorted(path.stem for path in (CONF_DIR / group).glob("*.yaml"))
