"""The commands of the documentation compose, and its links lead somewhere."""

import re
from pathlib import Path

import pytest
from docs_commands import PAGES, ROOT, commands_of

from sola.config import compose
from sola.config.program import quote
from sola.prediction.clip.command_line import complete

PROGRAMS = ("generate.py", "train.py", "evaluate.py", "predict.py")
CHECK_DATA = ["-m", "sola.cli", "check", "data"]
NOT_FOR_PATTERNS = ("hydra/", "hydra.launcher.", "hydra.sweeper.", "interval(", "--", "...", "<")
"""Launchers and sweepers that are not installed, flags, and placeholders."""
PLACEHOLDERS = {"ckpt_path=...": "ckpt_path=best.ckpt"}
EXAMPLES = "adding_"
"""Pages whose commands need files of the user's own: test_worked_examples.py runs them."""


def overrides_of(words: list[str]) -> list[str]:
    """The overrides of a command; of a sweep those of the first job."""
    words = [PLACEHOLDERS.get(word, word) for word in words]
    return [_first_job(word) for word in words if not _is_left_out(word)]


def _is_left_out(word: str) -> bool:
    return word == "-m" or "=" not in word or any(part in word for part in NOT_FOR_PATTERNS)


def _first_job(word: str) -> str:
    return word if re.search(r"[\[{]", word) else word.split(",")[0]


def entry_of(words: list[str]) -> str | None:
    """The entry point of a command; None: it has flags of its own."""
    if words[: len(CHECK_DATA)] == CHECK_DATA:
        return "check"
    if words[:3] == ["-m", "sola.cli", "download"]:
        return "download"
    return words[0].removesuffix(".py") if words[0] in PROGRAMS else None


FIRST_READ = ("README.md", "quickstart.md", "mevis.md")
COMMANDS = [
    pytest.param(
        entry_of(words),
        overrides_of(words),
        id=f"{page.name}: {' '.join(words)}"[:120],
        marks=() if page.name in FIRST_READ else pytest.mark.slow,
    )
    for page in PAGES
    if not page.name.startswith(EXAMPLES)
    for words in commands_of(page)
    if entry_of(words) and "--config-dir" not in words
]


def test_pages_have_commands() -> None:
    assert len(COMMANDS) > 60


@pytest.mark.parametrize(("entry", "overrides"), COMMANDS)
def test_command_composes(entry: str, overrides: list[str]) -> None:
    is_given = any(word.startswith("split=") for word in overrides)
    extra = ["split=train"] if entry == "generate" and not is_given else []

    overrides = complete(overrides) if entry == "predict" else overrides
    compose(entry, [*map(quote, overrides), *extra, "paths.output_dir=outputs"])


LINK = re.compile(r"\]\((?!https?:)([^)#\s]+)")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_link_leads_somewhere(page: Path) -> None:
    known = {"data.md": "data/README.md", "shard_format.md": "sola/shards/FORMAT.md"}
    for target in LINK.findall(page.read_text()):
        path = ROOT / known[target] if target in known else page.parent / target
        is_made = (
            target.startswith("api/") or target == "options.md"
        )  # by the site, which is built strictly
        assert is_made or path.exists(), f"{page}: {target}"
