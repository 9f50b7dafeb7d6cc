"""Every kind of broken input ends in one message that names what docs/broken_input.md names."""

import contextlib
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from broken_cases import TABLE
from broken_files import Case
from broken_input import answer, document, message_of, row, words
from commands import ROOT
from sound_world import write_world

DOCUMENT = (ROOT / "docs" / "broken_input.md").read_text()
CASES = {case.what: case for cases in TABLE.values() for case in cases}
FIRST = [{case.command: case.what for case in reversed(cases)} for cases in TABLE.values()]
FAST = {what for by_command in FIRST for what in by_command.values()}
"""The first case of each section and command; the others are slow tests."""
LOG_LINE = r"\d\d:\d\d:\d\d (INFO|WARNING) .*"
MAX_CPU_S = 5.0
"""For slow machines, and for the first case, which imports; the others take half a second."""


def subject_of(message: str) -> str:
    """The key or file that a message names first; the wording behind it is free."""
    return message.replace("|", "\\|").partition(": ")[0]


def documented_subject(case: Case) -> str:
    start = row(case, "").removesuffix(" |")
    (line,) = [line for line in DOCUMENT.splitlines() if line.startswith(start)]
    return subject_of(line.removesuffix(" |").split(" | ", 2)[2])


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The world before anything is broken."""
    folder = tmp_path_factory.mktemp("sound")
    with contextlib.chdir(folder):
        write_world()
    return folder


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(case, id=what, marks=() if what in FAST else pytest.mark.slow)
        for what, case in CASES.items()
    ],
)
def test_broken_input_gives_one_message_and_loses_no_data(
    case: Case, sound: Path, tmp_path: Path
) -> None:
    found = answer(case, sound, tmp_path / "root")

    assert found.outcome.status == 1, found.outcome.errors
    assert found.message, found.outcome.errors
    for line in found.outcome.errors.splitlines()[:-1]:
        assert re.fullmatch(LOG_LINE, line), line
    assert found.lost == ()
    assert found.outcome.cpu_s < MAX_CPU_S
    assert subject_of(found.message) == documented_subject(case)


def test_document_holds_the_whole_table() -> None:
    rows = [line for line in DOCUMENT.splitlines() if line.startswith("| ")]
    cells = [line.removesuffix(" |").split(" | ", 2) for line in rows]
    messages = (message for what, _, message in cells if what != "| what is broken")

    assert document(messages) == DOCUMENT
    assert len(CASES) == sum(map(len, TABLE.values())) >= 40


@pytest.mark.parametrize("what", ["a misspelt key", "a shard cut off", "no tree"])
@pytest.mark.slow
def test_program_shows_the_same_message(what: str, sound: Path, tmp_path: Path) -> None:
    case, root = CASES[what], tmp_path / "root"
    shutil.copytree(sound, root)
    with contextlib.chdir(root):
        case.break_it()
    name, *arguments = words(case)
    program = [str(ROOT / name)] if name.endswith(".py") else ["-m", name]
    done = subprocess.run(
        [sys.executable, *program, *arguments], cwd=root, capture_output=True, text=True
    )

    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert subject_of(message_of(done.stderr, root)) == documented_subject(case)
