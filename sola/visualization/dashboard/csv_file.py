"""metrics.csv: rows that outlive a run which dies at any moment."""

import csv
from collections.abc import Sequence
from pathlib import Path

from pytorch_lightning.loggers import CSVLogger
from pytorch_lightning.loggers.csv_logs import ExperimentWriter
from pytorch_lightning.loggers.logger import rank_zero_experiment

from sola.errors import UserError
from sola.files import whole_file

Row = dict[str, str]


class RowsFile(CSVLogger):
    """Lightning's CSV logger, with a file that is never without the rows that it had.

    Args:
        output_dir: folder of the run, which holds the file.
        first_step: rows of earlier steps that are there stay; 0: the file begins anew.
    """

    def __init__(self, output_dir: Path, first_step: int) -> None:
        super().__init__(save_dir=output_dir, name="", version="")
        self._first_step = first_step

    @property
    @rank_zero_experiment
    def experiment(self) -> "_Writer":
        """What writes; made when it is first needed."""
        if not isinstance(self._experiment, _Writer):
            self._experiment = _Writer(self.log_dir, self._first_step)
        return self._experiment


class _Writer(ExperimentWriter):
    """Appends rows; whatever changes those before is another file, renamed when it is whole."""

    def __init__(self, log_dir: str, first_step: int) -> None:
        self._first_step = first_step
        super().__init__(log_dir)
        self.metrics_keys = self._begin()

    def _check_log_dir_exists(self) -> None:
        """Lightning deletes the file here."""

    def _begin(self) -> list[str]:
        """Keeps the rows of steps before the first one; returns the names of their columns."""
        path = Path(self.metrics_file_path)
        try:
            rows = [row for row in _read(path) if int(row["step"]) < self._first_step]
        except (KeyError, ValueError) as error:
            raise UserError(
                f"{path}: needs a column step of whole numbers, to go on with ({error}). "
                "Put back what the run wrote, or move the file away."
            ) from error
        names = sorted({name for row in rows for name, value in row.items() if value})
        if rows:
            _write(path, rows, names)
        else:
            path.unlink(missing_ok=True)
        return names

    def _rewrite_with_new_header(self, fieldnames: list[str]) -> None:
        path = Path(self.metrics_file_path)
        _write(path, _read(path), fieldnames)


def _read(path: Path) -> list[Row]:
    """The whole rows: of the last one, a process that was killed may have written a part."""
    if not path.is_file():
        return []
    text = path.read_text()
    whole = text[: text.rfind("\n") + 1]
    return [row for row in csv.DictReader(whole.splitlines()) if row["step"]]


def _write(path: Path, rows: Sequence[Row], names: Sequence[str]) -> None:
    with whole_file(path) as unfinished, unfinished.open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=names, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
