"""What the documentation tells to type is what the entry points take; what it links to is there."""

import re
from pathlib import Path

import pytest
from docs_commands import PAGES, ROOT, commands_of
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from sola.config.conversion import CONF_DIR, SCHEMAS, load, register_schemas

PROGRAMS = ("generate.py", "train.py", "evaluate.py", "predict.py")
NOT_FOR_PATTERNS = ("hydra/", "hydra.launcher.", "--", "...", "<", "$")
"""Launchers that are not installed, flags, and what stands for something else."""
PLACEHOLDERS = {"ckpt_path=...": "ckpt_path=best.ckpt"}
EXAMPLES = ("adding_a_dataset.md", "adding_a_prompt_source.md", "adding_a_selector.md")
"""Their commands need files that the page tells to write; a test of their own runs them."""


def overrides_of(words: list[str]) -> list[str]:
    """Those that a command is composed with."""
    words = [PLACEHOLDERS.get(word, word) for word in words[1:]]
    return [word for word in words if not _is_left_out(word)]


def _is_left_out(word: str) -> bool:
    return word == "-m" or any(part in word for part in NOT_FOR_PATTERNS)


def single(overrides: list[str]) -> list[str]:
    """The first job of a sweep."""
    return [word if re.search(r"[\[{]", word) else word.split(",")[0] for word in overrides]


COMMANDS = [
    pytest.param(
        words[0].removesuffix(".py"),
        single(overrides_of(words)),
        id=f"{page.name}: {' '.join(words)}"[:120],
    )
    for page in PAGES
    if page.name not in EXAMPLES
    for words in commands_of(page)
    if words[0] in PROGRAMS
]


def test_the_pages_have_commands() -> None:
    assert len(COMMANDS) > 60


@pytest.mark.parametrize(("entry", "overrides"), COMMANDS)
def test_commands_are_taken(entry: str, overrides: list[str]) -> None:
    register_schemas()
    GlobalHydra.instance().clear()
    extra = [] if any(word.startswith("split=") for word in overrides) else ["split=train"]
    overrides = [*overrides, *(extra if entry == "generate" else [])]
    with initialize_config_dir(str(CONF_DIR), version_base="1.3"):
        composed = compose(entry, [*overrides, "paths.output_dir=outputs"])
    load(composed, SCHEMAS[entry])


LINK = re.compile(r"\]\((?!https?:)([^)#\s]+)")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    known = {"data.md": "data/README.md", "shard_format.md": "sola/shards/FORMAT.md"}
    for target in LINK.findall(page.read_text()):
        path = ROOT / known[target] if target in known else page.parent / target
        is_made = (
            target.startswith("api/") or target == "options.md"
        )  # by the site, which is built strictly
        assert is_made or path.exists(), f"{page}: {target}"
