"""The table of docs/faults.md: each row is written, and held to be true, by the test that it names.

``make faults`` runs these tests and writes the table; any other run compares.
"""

import ast
import fcntl
from collections.abc import Iterable
from dataclasses import astuple, dataclass
from pathlib import Path

from commands import ROOT

DOCUMENT = ROOT / "docs" / "faults.md"
TITLES = ("Generation", "Training", "Prediction", "Tracks on disk")
COLUMNS = "| fault | what happened | what was lost | test |\n|---|---|---|---|\n"
MARK = "<!-- written by make faults; the text above is not -->"


@dataclass(frozen=True)
class Row:
    """Outcome of one injected fault."""

    title: str
    """One of TITLES."""
    fault: str
    happened: str
    lost: str
    test: str
    """File and function, as pytest names them below tests/, without parameters."""

    def line(self) -> str:
        """Of the document."""
        cells = [self.fault, self.happened, self.lost, f"`{self.test}`"]
        return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def read_rows() -> list[Row]:
    """Of the document."""
    rows, title = [], ""
    for line in DOCUMENT.read_text().partition(MARK)[2].splitlines():
        if line.startswith("## "):
            title = line.removeprefix("## ")
        elif line.startswith("| ") and not line.startswith("| fault |"):
            fault, happened, lost, test = line.strip("| ").split(" | ")
            rows.append(Row(title, fault, happened, lost, test.strip("`")))
    return rows


def table(rows: Iterable[Row]) -> str:
    """What the document has behind the mark."""
    parts = [f"{MARK}\n"]
    for title in TITLES:
        lines = [f"{row.line()}\n" for row in sorted(rows, key=astuple) if row.title == title]
        parts.append(f"## {title}\n\n{COLUMNS}{''.join(lines)}")
    return "\n".join(parts)


def write_rows(found: list[Row]) -> None:
    """Put rows in the place of those of the same faults; rows of tests that are gone go, too."""
    faults, there = {(row.test, row.fault) for row in found}, marked_tests()
    with DOCUMENT.open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # pytest may run several times at once
        kept = [row for row in read_rows() if row.test in there]
        kept = [row for row in kept if (row.test, row.fault) not in faults]
        text = DOCUMENT.read_text().partition(MARK)[0]
        DOCUMENT.write_text(text + table([*kept, *found]))


def marked_tests() -> set[str]:
    """All tests with the mark ``fault``."""
    found = set()
    for path in (ROOT / "tests").rglob("test_*.py"):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.FunctionDef) and _is_marked(node):
                found.add(name_of(path, node.name))
    return found


def name_of(path: Path, function: str) -> str:
    """As rows have it."""
    return f"{path.relative_to(ROOT / 'tests')}::{function}"


def _is_marked(node: ast.FunctionDef) -> bool:
    return any(ast.unparse(each) == "pytest.mark.fault" for each in node.decorator_list)
