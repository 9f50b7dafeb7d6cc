"""Lightning's loggers, as a run gets them."""

import csv
from pathlib import Path

import pytest
from pytorch_lightning.loggers import CSVLogger

from sola.errors import UserError
from sola.visualization.board import finish_logger, keep_rows, wandb_logger


def rows_of(folder: Path) -> list[dict[str, str]]:
    with (folder / "metrics.csv").open(newline="") as file:
        return [{k: v for k, v in row.items() if v} for row in csv.DictReader(file)]


def log(folder: Path, first_step: int, *steps: int) -> None:
    logger = CSVLogger(folder, name="", version="")
    keep_rows(logger, first_step)
    for step in steps:
        logger.log_metrics({"loss": 0.5} if step % 2 else {"other": 0.5}, step=step)
    logger.save()


def test_resumed_run_keeps_the_rows_of_earlier_steps(tmp_path: Path) -> None:
    log(tmp_path, 0, 9, 10, 19, 29)
    log(tmp_path, 20, 29, 39)
    steps = [row["step"] for row in rows_of(tmp_path)]
    assert steps == ["9", "10", "19", "29", "39"]
    assert rows_of(tmp_path)[1] == {"step": "10", "other": "0.5"}
    log(tmp_path, 20)
    assert [row["step"] for row in rows_of(tmp_path)] == ["9", "10", "19"]
    log(tmp_path, 0, 9)
    assert [row["step"] for row in rows_of(tmp_path)] == ["9"]


@pytest.mark.parametrize("cut", range(2, 8))
def test_row_that_a_killed_process_cut_off_is_dropped(tmp_path: Path, cut: int) -> None:
    log(tmp_path, 0, 9, 123)
    path = tmp_path / "metrics.csv"
    path.write_bytes(path.read_bytes()[:-cut])
    log(tmp_path, 130, 133)
    assert [row["step"] for row in rows_of(tmp_path)] == ["9", "133"]


@pytest.mark.usefixtures("wandb_offline")
def test_project_that_wandb_refuses_is_one_message(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"logger: .*a/b"):
        finish_logger(wandb_logger(tmp_path, project="a/b"))
