"""The page of options describes every option."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import options
import pytest
from omegaconf import OmegaConf

from sola.config import entry_points
from sola.config.composition import CONF_DIR, ENTRIES, compose_values
from sola.config.targets import SPECIAL

CONFIGS = [getattr(entry_points, entry.config_class) for entry in ENTRIES.values()]
GROUP_FILES = sorted(CONF_DIR.glob("*/*.yaml"))
COMPOSED = [
    *((entry, []) for entry in ENTRIES if entry != "download"),  # which has hardly a key by itself
    ("download", ["tracker=sam2.1_hiera_large", "prompt_source=gdino"]),
    ("generate", ["prompt_source=gdino", "logger=wandb"]),
    ("train", ["dataset=mevis"]),
    ("train", ["selector=baseline", "scheduler=cosine"]),
]
ROW = re.compile(r"^\| `([^`]+)` \|.*\| (.+) \|$", re.MULTILINE)


pytestmark = pytest.mark.slow  # composes every file of every group


@pytest.fixture(scope="module")
def page() -> str:
    return options.options_page()


@pytest.mark.parametrize(
    "config",
    [*CONFIGS, entry_points.DataOptions, entry_points.ClipOptions],
    ids=lambda config: config.__name__,
)
def test_every_plain_key_of_a_command_has_a_meaning(config: type) -> None:
    texts = options.meanings(config)
    built = {"paths", "dataset", "tracker", "text_encoder", "selector", "loss", "optimizer"}
    built |= {"trainer", "data", "dashboard", "clip", "prompt_source", "prompt_sources"}

    assert {field.name for field in fields(config)} - built <= texts.keys()


def test_meaning_of_an_argument_comes_from_the_docstrings() -> None:
    from sola.datasets import Dataset
    from sola.prompts import Grid

    assert options.meanings(Dataset)["submission_top_dir"].startswith("folder that holds")
    assert options.meanings(Grid)["name"] == "of its folders of prompts and tracks."


@pytest.mark.parametrize("path", GROUP_FILES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_every_file_of_a_group_has_a_comment(page: str, path: Path) -> None:
    comment = options.head_comment(path)

    assert comment
    assert "@package" not in comment
    assert f"| `{path.parent.name}={path.stem}` | {comment} |" in page


@pytest.mark.parametrize(("entry", "overrides"), COMPOSED)
def test_every_key_of_a_command_is_on_the_page(page: str, entry: str, overrides: list[str]) -> None:
    known = {key for key, _ in ROW.findall(page)}
    composed: Any = OmegaConf.to_container(compose_values(entry, overrides), resolve=False)
    unused = {"hydra", *ENTRIES[entry].unused}
    keys = [key for key in _leaves(composed) if key.split(".")[0] not in unused]

    assert len(keys) > 10
    assert [key for key in keys if not _is_known(key, known)] == []


def test_every_row_has_a_meaning(page: str) -> None:
    rows = [(key, text) for key, text in ROW.findall(page) if "=" not in key]

    assert len(rows) > 150
    assert [key for key, text in rows if text.startswith("see sola.")] == []


@pytest.mark.parametrize(
    "row",
    [
        "| `split` | `str` | required | The split whose videos are tracked",
        "| `data.train_sources` | `list[str]` | `[gt, grid]` | ",
        "| `loss.temperature` | `float` | `0.07` | ",
        r"| `selector.motion_gain` | `float` | `1` | ",
        "| `prompt_source.detector.network.num_queries` | `int` | `900` | ",
        "| `trainer.max_steps` |  | `-1` | Stop training after",
        r"| `+selector.hidden_dim` | `int \| None` | `null` | ",
        "| `callbacks.early_stopping.patience` | ",
    ],
)
def test_row_has_key_type_default_and_meaning(page: str, row: str) -> None:
    assert row in page


def _leaves(section: Mapping[Any, Any], prefix: str = "") -> Iterator[str]:
    for name in section:
        if isinstance(section[name], Mapping) and section[name]:
            yield from _leaves(section[name], f"{prefix}{name}.")
        elif name not in SPECIAL:
            yield f"{prefix}{name}"


def _is_known(key: str, known: set[str]) -> bool:
    """On the page, or below a key under which everything is free."""
    parts = re.sub(r"^prompt_sources\.\w+", "prompt_source", key).split(".")
    return any(".".join(parts[:length]) in known for length in range(1, len(parts) + 1))
