"""Every command of the README and docs/ runs, in a small world."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from docs_commands import LEFT_OUT, PAGES, ROOT, commands_of, stand_in, write_world

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]
CHAIN = "docs/mevis.md"
"""From tracks to a submission; the other pages start where it ends."""
OF_THEIR_OWN = ("docs/adding_", "docs/quickstart.md")
"""test_worked_examples.py runs the first, make docs-commands the second."""
PREPARED = """
generate.py dataset=moving_shapes split=train prompt_source=gt
generate.py dataset=moving_shapes split=train prompt_source=grid
generate.py dataset=moving_shapes split=valid_u prompt_source=grid
train.py experiment=demo hydra.run.dir=outputs/demo
generate.py dataset=moving_shapes_large split=train prompt_source=gt
generate.py dataset=moving_shapes_large split=train prompt_source=grid
generate.py dataset=moving_shapes_large split=valid_u prompt_source=grid
generate.py dataset=moving_shapes_relations split=train prompt_source=gt
generate.py dataset=moving_shapes_relations split=valid_u prompt_source=grid
evaluate.py dataset=mevis ckpt_path=... hydra.run.dir=outputs/evaluated
evaluate.py dataset=mevis ckpt_path=... threshold=0.3 hydra.run.dir=outputs/other/evaluation
predict.py dataset=mevis ckpt_path=... split=valid_u submission=true hydra.run.dir=outputs/handed_in
generate.py dataset=mevis split=train prompt_source=grid tracker=sam2_hiera_large
generate.py dataset=mevis split=valid_u prompt_source=grid tracker=sam2_hiera_large
generate.py dataset=mevis split=valid_u prompt_source=gdino tracker=sam2_hiera_large
generate.py dataset=mevis split=valid prompt_source=grid tracker=sam2_hiera_large
generate.py dataset=mevis split=valid prompt_source=gdino tracker=sam2_hiera_large
"""
"""Commands that a reader of any page has run before."""


DRIVER = """
import json, shutil, sys
from commands import run_command
for command in json.load(sys.stdin):
    if command["makes"]:
        shutil.rmtree(command["makes"], ignore_errors=True)
    done = run_command(*command["words"])
    if done.status:
        sys.exit(f"{command['words']}: status {done.status}\\n{done.output}{done.errors}")
"""


class World:
    """A folder with a copy of the program, in which commands run as a user would type them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def run(self, commands: Sequence[list[str]]) -> None:
        """Run commands in turn, in one further process, up to the first that fails."""
        done_here = [stand_in(words) for words in commands if not LEFT_OUT & set(words)]
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", DRIVER],
            input=json.dumps(
                [{"words": named(words), "makes": makes(words)} for words in done_here]
            ),
            cwd=self.folder,
            env=os.environ | {"PYTHONPATH": f"{self.folder}:{self.folder / 'tests'}", "CI": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-6000:]


def named(words: list[str]) -> list[str]:
    """The words with the program's name first: a module's without -m."""
    return words[1:] if words[0] == "-m" else words


def makes(words: list[str]) -> str:
    """A folder of an earlier page that would keep a command from running in full; "": none."""
    said = dict(word.split("=", 1) for word in words if "=" in word)
    is_first_part = said.get("part", "0")[0] == "0"
    if words[0] == "train.py" and "resume" not in said:
        return said.get("hydra.run.dir", "")
    if (words[0] == "generate.py" and is_first_part) or words[1:3] == ["sola.published", "import"]:
        keys = ("dataset", "split", "prompt_source", "tracker.name")
        return str(Path("data/tracks", *(said.get(key, "small") for key in keys)))
    return ""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    folder = tmp_path_factory.mktemp("world") / "sola"
    write_world(folder)
    world = World(folder)
    prepared = [line.split() for line in PREPARED.strip().splitlines()]
    world.run([*commands_of(PAGES_BY_NAME[CHAIN]), *prepared])
    (folder / "submission.zip").symlink_to("outputs/handed_in/submission.zip")
    return world


PAGES_BY_NAME = {page.relative_to(ROOT).as_posix(): page for page in PAGES}
RUN_HERE = [
    name
    for name, page in PAGES_BY_NAME.items()
    if not name.startswith((CHAIN, *OF_THEIR_OWN))
    and any(not LEFT_OUT & set(words) for words in commands_of(page))
]


def test_pages_have_commands() -> None:
    assert "README.md" in RUN_HERE
    assert len(RUN_HERE) > 8


def test_chain_ends_in_a_submission(world: World) -> None:
    assert (world.folder / "outputs/submission/submission.zip").is_file()


@pytest.mark.parametrize("page", RUN_HERE)
def test_commands_of_a_page_run(world: World, page: str) -> None:
    world.run(list(commands_of(PAGES_BY_NAME[page])))
