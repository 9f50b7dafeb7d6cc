"""Every command of the README and of docs/ runs, on a small world (docs_commands.py)."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from docs_commands import LEFT_OUT, PAGES, commands_of, stand_in, write_world

pytestmark = [pytest.mark.docs, pytest.mark.slow, pytest.mark.timeout(1800)]
CHAIN = "mevis.md"
"""From tracks to a submission: the others start where it ends."""
OF_THEIR_OWN = ("adding_a_dataset.md", "adding_a_metric.md", "adding_a_prompt_source.md")
OF_THEIR_OWN += ("adding_a_selector.md", "quickstart.md")
"""Run by test_worked_examples.py, and by make docs-commands after the demo."""
PREPARED = """
generate.py dataset=moving_shapes split=train prompt_source=gt
generate.py dataset=moving_shapes split=valid_u prompt_source=grid
train.py experiment=demo hydra.run.dir=outputs/demo
generate.py dataset=moving_shapes_large split=train prompt_source=gt
generate.py dataset=moving_shapes_large split=valid_u prompt_source=grid
evaluate.py dataset=mevis ckpt_path=... hydra.run.dir=outputs/mine/evaluation
evaluate.py dataset=mevis ckpt_path=... threshold=0.3 hydra.run.dir=outputs/other/evaluation
predict.py dataset=mevis ckpt_path=... split=valid_u submission=true hydra.run.dir=outputs/handed_in
-m sola.published export <tree> dataset=mevis split=train prompt_source=gt
generate.py dataset=mevis split=valid_u prompt_source=grid tracker=sam2_hiera_large
generate.py dataset=mevis split=valid_u prompt_source=gdino tracker=sam2_hiera_large
generate.py dataset=mevis split=valid prompt_source=grid tracker=sam2_hiera_large
generate.py dataset=mevis split=valid prompt_source=gdino tracker=sam2_hiera_large
"""
"""What somebody has done who comes to a page."""


class World:
    """A folder with a copy of the program, in which commands run as a user would type them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def run(self, words: list[str]) -> None:
        """AssertionError unless the command ends well."""
        words = stand_in(words)
        self._make_room_for(words)
        done = subprocess.run(
            [sys.executable, *words],
            cwd=self.folder,
            env=os.environ | {"PYTHONPATH": str(self.folder), "CI": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, (
            f"{' '.join(words)}\n{done.stdout[-2000:]}{done.stderr[-4000:]}"
        )

    def _make_room_for(self, words: list[str]) -> None:
        """Tracks that are there would not be made again, nor a tree be written over."""
        said = dict(word.split("=", 1) for word in words if "=" in word)
        makes_tracks = words[0] == "generate.py" and said.get("part", "0")[0] == "0"
        if makes_tracks or words[1:3] == ["sola.published", "import"]:
            keys = ("dataset", "split", "prompt_source", "tracker.name")
            where = [said.get(key, "small") for key in keys]
            shutil.rmtree(self.folder.joinpath("data/tracks", *where), ignore_errors=True)
        if words[1:3] == ["sola.published", "export"]:
            shutil.rmtree(self.folder / words[3], ignore_errors=True)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    folder = tmp_path_factory.mktemp("world") / "sola"
    write_world(folder)
    world = World(folder)
    for words in commands_of(PAGES_BY_NAME[CHAIN]):
        world.run(words)
    for line in PREPARED.strip().splitlines():
        world.run(line.split())
    (folder / "submission.zip").symlink_to("outputs/handed_in/submission.zip")
    return world


PAGES_BY_NAME = {page.name: page for page in PAGES}
RUN_HERE = [
    name
    for name, page in PAGES_BY_NAME.items()
    if name not in (CHAIN, *OF_THEIR_OWN) and any(commands_of(page))
]


def test_most_pages_have_commands() -> None:
    assert len(RUN_HERE) > 8


def test_the_chain_ends_in_a_submission(world: World) -> None:
    assert (world.folder / "outputs/submission/submission.zip").is_file()


@pytest.mark.parametrize("page", RUN_HERE)
def test_its_commands_run(world: World, page: str) -> None:
    for words in commands_of(PAGES_BY_NAME[page]):
        if LEFT_OUT not in words:
            world.run(words)
