"""What a page of docs/ shows, done: its files where it says, its commands one after the other."""

import json
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
FILE = re.compile(r"\n\n((?:[^\n]+\n)+)\n```(?:python|yaml)\n(.*?)```", re.DOTALL)
"""A block, and the paragraph before it, which names the block's file first."""
NAME = re.compile(r"`([\w./]+\.(?:py|yaml))`")
COMMANDS = re.compile(r"```sh\n(.*?)```", re.DOTALL)
DRIVER = """
import dataclasses, json, sys
from commands import run_command
print(json.dumps([dataclasses.asdict(run_command(*words)) for words in json.load(sys.stdin)]))
"""


@dataclass(frozen=True)
class Answer:
    """What a user sees of a command."""

    status: int
    output: str
    errors: str


def copy_program(folder: Path) -> None:
    """The package, its configuration and the entry points, into a new folder."""
    for name in ("sola", "conf"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for path in (*ROOT.glob("*.py"), ROOT / "tests" / "commands.py"):
        target = folder / path.relative_to(ROOT)
        target.parent.mkdir(exist_ok=True)
        shutil.copy(path, target)


class WorkedExample:
    """A copy of the program with a page's files added; nothing else in it is changed."""

    def __init__(self, page: str, folder: Path) -> None:
        """Make the copy, and add the page.

        Args:
            page: its name in docs/.
            folder: for the copy, is made.
        """
        self.folder = folder
        copy_program(folder)
        self.commands = self.add(page)

    def add(self, page: str) -> list[list[str]]:
        """Put the files of a page where it says; returns its commands, word by word."""
        text = (ROOT / "docs" / page).read_text()
        for paragraph, code in FILE.findall(text):
            target = self.folder / NAME.search(paragraph)[1]
            assert not target.exists(), f"{page} replaces {target.relative_to(self.folder)}"
            target.write_text(code)
        lines = [line for block in COMMANDS.findall(text) for line in block.splitlines()]
        return [shlex.split(line) for line in lines]

    def run(self, commands: Sequence[Sequence[str]]) -> list[Answer]:
        """The commands in turn, in one process: a start takes seconds."""
        words = [[w for w in command if w not in ("python", "-m")] for command in commands]
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", DRIVER],
            input=json.dumps(words),
            env={"PATH": "", "PYTHONPATH": f"{self.folder}:{self.folder / 'tests'}"}
            | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "WANDB_MODE": "offline"},
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        found = json.loads(done.stdout.splitlines()[-1])
        return [Answer(each["status"], each["output"], each["errors"]) for each in found]
