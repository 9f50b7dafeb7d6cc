"""Summarise a sweep: print a table of its jobs, and write sweep.csv."""

import csv
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import OmegaConf

from sola.config.console import table_console

RESULT_FILE = "result.json"
TABLE_FILE = "sweep.csv"
VALUE_NAMES = {"train": "valid/J&F", "evaluate": "J&F"}
"""Column name of a command's return value."""
MAX_NAME = 120
_started: list[Path] = []
"""Folder of the sweep that this process runs."""


def folder_name(overrides: str) -> str:
    """Return overrides as a folder name that needs no quotes on a command line."""
    return re.sub(r"[^\w.+-]+", "-", overrides).strip("-")[:MAX_NAME] or "defaults"


OmegaConf.register_new_resolver("folder_name", folder_name, replace=True)


def note_sweep(folder: Path) -> None:
    """Remember the folder of the sweep that this process runs."""
    _started.append(folder)


def write_result(entry: str, value: Any, error: str = "") -> None:
    """Write the result of a job of a sweep into its folder; do nothing for a single run."""
    job = HydraConfig.get()
    if job.mode != RunMode.MULTIRUN:
        return
    content: dict[str, Any] = {"overrides": list(job.overrides.task), "error": error}
    if isinstance(value, int | float):
        content[VALUE_NAMES.get(entry, "result")] = value
    (Path(job.runtime.output_dir) / RESULT_FILE).write_text(json.dumps(content, indent=1))


def show_sweep() -> None:
    """Print the table of the sweep that this process ran, and write sweep.csv."""
    if not _started:
        return
    folder = _started.pop()
    rows = [_row(path) for path in sorted(folder.glob(f"*/{RESULT_FILE}"), key=_job_number)]
    if not rows:
        return
    columns = list(dict.fromkeys(name for row in rows for name in row))
    with (folder / TABLE_FILE).open("w", newline="") as file:
        writer = csv.DictWriter(file, columns, restval="")
        writer.writeheader()
        writer.writerows(rows)
    from rich.table import Table

    table = Table(*columns, title=f"{len(rows)} jobs, {folder / TABLE_FILE}")
    for row in rows:
        table.add_row(*(_cell(row.get(name, "")) for name in columns))
    table_console().print(table)


def _row(path: Path) -> dict[str, Any]:
    """Return a job's overrides, result and error, and for evaluate.py the protocol's numbers."""
    content: Mapping[str, Any] = json.loads(path.read_text())
    row = {"job": path.parent.name.partition("_")[0]}
    row |= dict(word.partition("=")[::2] for word in content["overrides"])
    row |= {name: each for name, each in content.items() if name not in ("overrides", "error")}
    evaluation = path.with_name("evaluation.json")
    if evaluation.is_file():
        numbers = json.loads(evaluation.read_text()).get("protocol", {}).get("numbers", {})
        row |= {name: value for name, value in numbers.items() if isinstance(value, float)}
    error = content["error"].partition("\n")[0]
    return row | ({"error": error} if error else {})


def _cell(value: Any) -> str:
    return f"{100 * value:.1f}" if isinstance(value, float) else str(value)


def _job_number(path: Path) -> int:
    number = path.parent.name.partition("_")[0]
    return int(number) if number.isdigit() else 0
