"""metrics.csv outlives whatever happens to the process that writes it."""

import csv
from pathlib import Path

import pytest

from sola.visualization.dashboard import csv_file
from sola.visualization.dashboard.csv_file import RowsFile


def rows_of(folder: Path) -> list[dict[str, str]]:
    with (folder / "metrics.csv").open(newline="") as file:
        return [{k: v for k, v in row.items() if v} for row in csv.DictReader(file)]


def log(logger: RowsFile, *steps: int, name: str = "loss") -> None:
    for step in steps:
        logger.log_metrics({name: 0.5}, step=step)
    logger.save()


def test_a_run_that_goes_on_keeps_the_rows_of_earlier_steps(tmp_path: Path) -> None:
    log(RowsFile(tmp_path, 0), 9, 19, 29)
    log(RowsFile(tmp_path, 20), 29, 39)
    assert [row["step"] for row in rows_of(tmp_path)] == ["9", "19", "29", "39"]
    log(RowsFile(tmp_path, 0), 9)
    assert [row["step"] for row in rows_of(tmp_path)] == ["9"]


@pytest.mark.parametrize("content", ["loss\n0.5\n", "step,loss\n1.5,0.5\n"])
def test_a_file_that_something_else_wrote_is_one_message(tmp_path: Path, content: str) -> None:
    (tmp_path / "metrics.csv").write_text(content)
    with pytest.raises(ValueError, match=r"metrics\.csv: needs a column step of whole numbers"):
        log(RowsFile(tmp_path, 100), 133)


@pytest.mark.parametrize("cut", range(1, 8))
def test_a_row_that_was_not_written_to_its_end_is_not_believed(tmp_path: Path, cut: int) -> None:
    log(RowsFile(tmp_path, 0), 9, 123)
    path = tmp_path / "metrics.csv"
    path.write_bytes(path.read_bytes()[:-cut])
    log(RowsFile(tmp_path, 100), 133)
    assert [row["step"] for row in rows_of(tmp_path)] == ["9", "133"]


def test_rows_are_there_whenever_a_further_column_kills_the_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    logger = RowsFile(tmp_path, 0)
    log(logger, 9)
    before = rows_of(tmp_path)

    def die(*unused: object, **options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(csv_file.csv, "DictWriter", die)
    with pytest.raises(KeyboardInterrupt):
        log(logger, 19, name="another")
    monkeypatch.undo()
    assert rows_of(tmp_path) == before
    assert [path.name for path in tmp_path.iterdir()] == ["metrics.csv"]
    log(RowsFile(tmp_path, 10), 19, name="another")
    assert [row["step"] for row in rows_of(tmp_path)] == ["9", "19"]
