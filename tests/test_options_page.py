"""The page of options says something of every option that there is."""

import dataclasses
import re
from collections.abc import Iterator, Mapping
from typing import Any

import options
import pytest
from omegaconf import OmegaConf
from sola.config.conversion import SCHEMAS, compose_values

from sola.config import schema

CLASSES = [getattr(schema, name) for name in schema.__all__ if name != "UNUSED"]
GROUP_FILES = [path for group in options.groups() for path in options.choices(group)]
COMPOSED = [
    *((entry, []) for entry in SCHEMAS),
    ("generate", ["prompt_source=gdino", "logger=wandb"]),
    ("train", ["dataset=mevis"]),
    ("train", ["selector=baseline"]),
]
CELL = re.compile(r"^\| `([^`]+)`(.*)$", re.MULTILINE)


@pytest.fixture(scope="module")
def page() -> str:
    return options.options_page()


@pytest.mark.parametrize("section", CLASSES, ids=lambda section: section.__name__)
def test_every_field_of_every_schema_has_a_meaning(section: type) -> None:
    meanings = options.meanings(section)

    assert list(meanings) == [field.name for field in dataclasses.fields(section)]
    assert [name for name, meaning in meanings.items() if not meaning] == []


def test_the_meaning_of_a_field_is_the_text_below_it() -> None:
    meanings = options.meanings(schema.DatasetConfig)

    assert meanings["submission_top_dir"].startswith("Folder that holds the videos in a zip of")
    assert meanings["parts"].endswith("Each has the keys of dataset but maker and parts.")
    assert meanings["cache_dir"].endswith("None: nothing is kept.")


@pytest.mark.parametrize("path", GROUP_FILES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_every_file_of_a_group_says_what_it_is(path: Any) -> None:
    comment = options.head_comment(path)

    assert comment
    assert "@package" not in comment


@pytest.mark.parametrize(("entry", "overrides"), COMPOSED)
def test_every_key_of_a_command_is_on_the_page(page: str, entry: str, overrides: list[str]) -> None:
    known = {key for key, rest in CELL.findall(page) if not rest.startswith(" | section |")}
    known |= set(options.groups())
    composed: Any = OmegaConf.to_container(compose_values(entry, overrides), resolve=False)
    unused = {f.name for f in dataclasses.fields(SCHEMAS[entry]) if f.metadata.get("unused")}
    keys = [key for key in _leaves(composed) if key.split(".")[0] not in unused | {"hydra"}]

    assert len(keys) > 15
    assert [key for key in keys if not _is_known(key, known)] == []


def test_a_command_has_its_own_keys_in_its_own_part(page: str) -> None:
    parts = dict(re.findall(r"^## (.+?) \{.*?\n(.*?)(?=^## |\Z)", page, re.MULTILINE | re.DOTALL))

    for title, keys in {
        "train.py": ["ckpt_path", "resume", "loss.temperature", "data.window"],
        "evaluate.py": ["ckpt_path", "report", "metrics"],
        "predict.py": ["ckpt_path", "video", "prompt_sources.grid"],
        "generate.py": ["split", "num_parts"],
        "python -m sola.datasets": ["decode"],
    }.items():
        assert set(keys) <= {key for key, _ in CELL.findall(parts[title])}, title


def test_every_row_says_what_it_means(page: str) -> None:
    rows = CELL.findall(page)

    assert len(rows) > 150
    assert [key for key, rest in rows if not re.search(r"\| [^|]*\w+[^|]* \|$", rest)] == []


@pytest.mark.parametrize(
    "row",
    [
        r"| `trainer.limit_val_batches` | number | `1.0` | The same for validation;",
        r"| `prompt_source.detector_vocabulary` | text, or null | `null` | ",
        r"| `loss.temperature` | number | `0.07` | ",
        r"| `split` | text | *needed* | The split whose videos are tracked",
        r"| `dataset.cache_dir` | text, or null | `${data_root}/cache/${.name}` | ",
        r"| `selector.options.motion_gain` | number | `8` | ",
        r"| `data.train_sources` | list of text | `[gt, grid]` | ",
        r"| `prompt_source.detector_network.num_queries` | whole number | `900` | ",
    ],
)
def test_a_row_has_key_type_default_and_meaning(page: str, row: str) -> None:
    assert row in page


def test_choices_of_a_group_are_listed_with_what_they_are(page: str) -> None:
    assert "| `tracker=sam2.1_hiera_large` | SAM 2.1, Hiera-L, 224 M parameters. |" in page
    assert "| `experiment=demo` | `python train.py experiment=demo" in page


def _leaves(section: Mapping[Any, Any], prefix: str = "") -> Iterator[str]:
    for name in section:
        if isinstance(section[name], Mapping) and section[name]:
            yield from _leaves(section[name], f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"


def _is_known(key: str, known: set[str]) -> bool:
    """On the page, or below a key under which everything is free."""
    parts = re.sub(r"^prompt_sources\.\w+", "prompt_source", key).split(".")
    return any(".".join(parts[:length]) in known for length in range(1, len(parts) + 1))
