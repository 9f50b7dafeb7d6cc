"""The files and commands of a page of docs/, written and run in a folder of a user's own."""

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
FILE = re.compile(r"\n\n((?:[^\n]+\n)+)\n```(?:python|yaml)\n(.*?)```", re.DOTALL)
"""A block, and the paragraph before it, which names the block's file first."""
NAME = re.compile(r"`(my_\w+/[\w./]+\.(?:py|yaml))`")
COMMANDS = re.compile(r"```sh\n(.*?)```", re.DOTALL)
DRIVER = """
import dataclasses, json, runpy, sys
from commands import Outcome, run_command

def run(name, *words):
    if name == "sola":
        return run_command("sola.cli", *words)
    runpy.run_module(name, run_name="__main__")
    return Outcome(0, "", "", 0)

print(json.dumps([dataclasses.asdict(run(*words)) for words in json.load(sys.stdin)]))
"""


@dataclass(frozen=True)
class Answer:
    """What a user sees of a command."""

    command: str
    status: int
    output: str
    errors: str


class WorkedExample:
    """A folder that holds files of pages and nothing of sola.

    Args:
        folder: an empty one.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def add(self, page: str) -> list[list[str]]:
        """Write the files of a page of docs/; return its commands, word by word."""
        text = (ROOT / "docs" / page).read_text()
        for paragraph, code in FILE.findall(text):
            name = NAME.search(paragraph)
            assert name, f"{page}: no file is named in {paragraph!r}"
            self.write(name[1], code)
        lines = [line for block in COMMANDS.findall(text) for line in block.splitlines()]
        commands = [shlex.split(line) for line in lines if line != "export PYTHONPATH=."]
        return [[word for word in each if word not in ("python", "-m")] for each in commands]

    def write(self, name: str, content: str) -> None:
        """Write a file of the user's own."""
        target = self.folder / name
        assert not target.exists(), f"{name} is there already"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(content)

    def run(self, commands: Sequence[Sequence[str]]) -> list[Answer]:
        """Run commands in turn, in one process: a start takes seconds."""
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", DRIVER],
            input=json.dumps(list(commands)),
            env=self._environment(ROOT / "tests"),
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        found = json.loads(done.stdout.splitlines()[-1])
        return [
            Answer(" ".join(command), each["status"], each["output"], each["errors"])
            for command, each in zip(commands, found, strict=True)
        ]

    def run_alone(self, *words: str) -> Answer:
        """Run ``python -m sola.cli`` with some words, in a process of its own."""
        done = subprocess.run(
            [sys.executable, "-m", "sola.cli", *words],
            env=self._environment(),
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
        )
        return Answer(" ".join(words), done.returncode, done.stdout, done.stderr)

    def _environment(self, *folders: Path) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": os.pathsep.join(map(str, (self.folder, ROOT, *folders))),
            "OMP_NUM_THREADS": "1",
            "HF_HUB_OFFLINE": "1",
            "WANDB_MODE": "offline",
        }
