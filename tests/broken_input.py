"""The messages for broken input: ``python tests/broken_input.py > docs/broken_input.md``."""

import contextlib
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from broken_cases import TABLE
from broken_files import Case
from commands import Outcome, run_command
from sound_world import COMMANDS, write_world

HEAD = """# Broken input

{number} kinds of broken input. Each ends in one message with exit status 1 and no traceback, and
leaves every file as it was.

The table is generated: `python tests/broken_input.py > docs/broken_input.md`.
`tests/test_broken_input.py` runs every row again, and checks the key or file that the message
names. Each row changes one thing of a small world in which all commands work
(`tests/sound_world.py`). Commands show the changed values only.
"""
NORMALISED = [
    (r"([0-9a-f])\1{63}", r"\1..."),  # of a checkpoint
    (r"\b[0-9a-f]{12}\b", "..."),  # of settings
    (r"= \d+", "= ..."),  # HDF5 counts bytes
    (r"not in \S+/hub,", "not in ~/.cache/huggingface/hub,"),
]


@dataclass(frozen=True)
class Answer:
    """The answer of a command to broken input."""

    outcome: Outcome
    message: str
    """Behind "error: ", without what differs from run to run; "" if there is none."""
    lost: tuple[str, ...]
    """Files that are not as they were before the command."""


def answer(case: Case, sound: Path, root: Path) -> Answer:
    """Breaks a copy of the sound world, and runs the command in it."""
    shutil.copytree(sound, root)
    with contextlib.chdir(root):
        case.break_it()
        before = dict(_files())
        outcome = run_command(*words(case))
        after = dict(_files())
    lost = tuple(name for name, content in before.items() if after.get(name) != content)
    return Answer(outcome, message_of(outcome.errors, root), lost)


def message_of(errors: str, root: Path) -> str:
    """Of a command's stderr, see ``Answer.message``."""
    _, _, message = errors.rpartition("error: ")
    if errors.splitlines()[-1:] != [f"error: {message.rstrip()}"]:
        return ""
    for pattern, put in [(re.escape(str(root.resolve())), "<root>"), *NORMALISED]:
        message = re.sub(pattern, put, message)
    return message.rstrip()


def words(case: Case) -> list[str]:
    """The command line without python: values that work, and those of the case."""
    values = case.values.split()
    keys = {_key(value) for value in values}
    kept = [value for value in COMMANDS[case.command] if _key(value) not in keys]
    program, *arguments = case.command.removeprefix("python ").removeprefix("-m ").split()
    return ["sola.cli" if program == "sola" else program, *arguments, *kept, *values]


def row(case: Case, message: str) -> str:
    """The line of the document."""
    cells = (case.what, f"`{case.command} {case.values}".rstrip() + "`", message)
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def document(messages: Iterator[str]) -> str:
    """The whole document.

    Args:
        messages: of all cases, in the order of the table.
    """
    parts = [HEAD.format(number=sum(map(len, TABLE.values())))]
    for title, cases in TABLE.items():
        rows = "\n".join(row(case, next(messages)) for case in cases)
        parts.append(
            f"## {title}\n\n| what is broken | command | message |\n|---|---|---|\n{rows}\n"
        )
    return "\n".join(parts)


def _key(value: str) -> str:
    return value.partition("=")[0]


def _files() -> Iterator[tuple[str, bytes]]:
    return ((str(p), p.read_bytes()) for p in sorted(Path().rglob("*")) if p.is_file())


def _answers() -> Iterator[str]:
    with tempfile.TemporaryDirectory() as folder:
        sound = Path(folder) / "sound"
        sound.mkdir()
        with contextlib.chdir(sound):
            write_world()
        cases = [case for cases in TABLE.values() for case in cases]
        for number, case in enumerate(cases):
            yield answer(case, sound, Path(folder) / str(number)).message


if __name__ == "__main__":
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    sys.stdout.write(document(_answers()))
