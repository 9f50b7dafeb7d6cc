"""What TensorBoard shows of a dashboard: histograms, pictures of curves and videos, tables."""

from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from omegaconf import OmegaConf
from pytorch_lightning.loggers import TensorBoardLogger

from sola.visualization.dashboard.values import Clip, Distribution, Table, Value
from sola.visualization.report.charts import LineChart, as_png


class TensorBoardRun(TensorBoardLogger):
    """Lightning's logger, which keeps the configuration as a file alone, and shows it, too."""

    def log_hyperparams(self, params: Any, *more: Any, **options: Any) -> None:
        """Writes the file as Lightning does, and the same as a text."""
        super().log_hyperparams(params, *more, **options)
        lines = OmegaConf.to_yaml(OmegaConf.create(dict(params))).splitlines()
        self.experiment.add_text("configuration", "\n".join(f"    {line}" for line in lines))


def show_in_tensorboard(writer: Any, values: Mapping[str, Value], step: int) -> None:
    """Writes all that is no plain number.

    Args:
        writer: a ``SummaryWriter``.
        values: by name.
        step: of the run.
    """
    for name, value in values.items():
        if isinstance(value, Distribution):
            _add_distribution(writer, name, value, step)
        elif isinstance(value, LineChart):
            picture = cv2.imdecode(np.frombuffer(as_png(value), np.uint8), cv2.IMREAD_COLOR)
            assert picture is not None, "as_png makes PNG files"
            writer.add_image(name, picture[..., ::-1], step, dataformats="HWC")
        elif isinstance(value, Table):
            _add_table(writer, name, value, step)


def _add_distribution(writer: Any, name: str, value: Distribution, step: int) -> None:
    counts, edges = value.counts, value.edges
    middles = (edges[1:] + edges[:-1]) / 2
    writer.add_histogram_raw(
        name,
        min=edges[0],
        max=edges[-1],
        num=int(counts.sum()),
        sum=float((counts * middles).sum()),
        sum_squares=float((counts * middles**2).sum()),
        bucket_limits=edges[1:].tolist(),
        bucket_counts=counts.tolist(),
        global_step=step,
    )


def _add_table(writer: Any, name: str, table: Table, step: int) -> None:
    lines = [_line(table.columns), _line(["---"] * len(table.columns))]
    for number, row in enumerate(table.rows):
        lines.append(_line([_word(cell, number) for cell in row]))
        for cell in row:
            if isinstance(cell, Clip):
                picture: NDArray[np.uint8] = cell.picture
                writer.add_image(f"{name}/{number}", picture, step, dataformats="HWC")
    writer.add_text(name, "\n".join(lines), step)


def _word(cell: Any, number: int) -> str:
    if isinstance(cell, Clip):
        return f"image {number}"
    if isinstance(cell, float):
        return f"{cell:.3f}"
    return "" if cell is None else str(cell).replace("|", "\\|").replace("\n", " ")


def _line(words: Any) -> str:
    return f"| {' | '.join(words)} |"
