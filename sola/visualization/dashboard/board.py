"""Log what Lightning's loggers have no method for: tables, videos, plots, checkpoints."""

import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from omegaconf import OmegaConf
from pytorch_lightning.loggers import Logger, TensorBoardLogger, WandbLogger
from pytorch_lightning.utilities import rank_zero_only

from sola.visualization.plots import LinePlot, draw_lines


class VideoClip(NamedTuple):
    """A short video for W&B, and one picture of it for TensorBoard.

    Attributes:
        path: an mp4, which may be deleted once it was logged.
        picture: (H, W, 3) RGB.
        caption: a line of text.
    """

    path: Path
    picture: NDArray[np.uint8]
    caption: str


class Histogram(NamedTuple):
    """(K,) counts and (K + 1,) edges, as ``numpy.histogram`` returns them."""

    counts: NDArray[Any]
    edges: NDArray[Any]


Cell = str | float | VideoClip | None
# rows, each a value per column
Table = list[dict[str, Cell]]
Value = float | Histogram | LinePlot | Table


class Board:
    """Logs to one logger, from the first process of a run.

    Args:
        logger: W&B shows every value; TensorBoard has pictures instead of videos;
            other loggers get the numbers.
    """

    def __init__(self, logger: Logger) -> None:
        self.logger = logger
        self.shows_pictures = isinstance(logger, WandbLogger | TensorBoardLogger)

    @rank_zero_only
    def log_config(self, values: Mapping[str, Any]) -> None:
        """Log the configuration; TensorBoard shows it as text."""
        self.logger.log_hyperparams(dict(values))
        if isinstance(self.logger, TensorBoardLogger):
            lines = OmegaConf.to_yaml(OmegaConf.create(dict(values))).splitlines()
            text = "\n".join(f"    {line}" for line in lines)
            self.logger.experiment.add_text("configuration", text)

    @rank_zero_only
    def log(self, values: Mapping[str, Value], step: int) -> None:
        """Log the values of a step, by name."""
        if isinstance(self.logger, WandbLogger):
            row: dict[str, Any] = {}
            for name, value in values.items():
                row |= _as_wandb(name, value)
            self.logger.log_metrics(row, step)
            return
        numbers = {name: value for name, value in values.items() if isinstance(value, int | float)}
        self.logger.log_metrics(numbers, step)
        if isinstance(self.logger, TensorBoardLogger):
            for name, value in values.items():
                _add_to_tensorboard(self.logger.experiment, name, value, step)

    @rank_zero_only
    def add_checkpoint(self, path: Path, metadata: Mapping[str, Any]) -> None:
        """Upload the checkpoint of a training (W&B only), with its provenance as metadata."""
        if isinstance(self.logger, WandbLogger):
            import wandb

            kind = metadata["selector"]["_target_"].rpartition(".")[2]
            name = re.sub(r"[^\w.-]", "-", f"selector-{kind}-{metadata['dataset']}")
            artifact = wandb.Artifact(name, "selector", metadata=dict(metadata))
            artifact.add_file(str(path))
            self.logger.experiment.log_artifact(artifact)


def git_state() -> dict[str, Any]:
    """Return the commit of the code and whether files differ; "none" outside of a repository."""
    folder = Path(__file__).parents[2]

    def git(*words: str) -> str:
        command = ["git", "-C", str(folder), *words]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    try:
        git("ls-files", "--error-unmatch", "__init__.py")  # else it is an installed copy
        return {"commit": git("rev-parse", "HEAD"), "is_dirty": bool(git("status", "--porcelain"))}
    except (OSError, subprocess.CalledProcessError):
        return {"commit": "none", "is_dirty": False}


def _as_wandb(name: str, value: Value) -> dict[str, Any]:
    """The value as W&B's type; the videos of a table also alone, as they get no name in it."""
    import wandb

    def as_cell(cell: Cell) -> Any:
        if isinstance(cell, VideoClip):
            return wandb.Video(str(cell.path), caption=cell.caption, format="mp4")
        return cell

    if isinstance(value, Histogram):
        return {name: wandb.Histogram(np_histogram=value)}
    if isinstance(value, LinePlot):
        _, xs, ys = zip(*value.lines.values(), strict=True)
        keys, labels = list(value.lines), (value.title, value.x_name)
        return {name: wandb.plot.line_series(xs, ys, keys, *labels, split_table=True)}
    if not isinstance(value, list):
        return {name: value}
    cells = [[as_cell(cell) for cell in row.values()] for row in value]
    table = wandb.Table(columns=list(value[0]), data=cells, allow_mixed_types=True)
    clips = [cell for row in value for cell in row.values() if isinstance(cell, VideoClip)]
    return {name: table} | ({f"{name}_videos": list(map(as_cell, clips))} if clips else {})


def _add_to_tensorboard(writer: Any, name: str, value: Value, step: int) -> None:
    """Write a value that is not a number; a table as Markdown, with its pictures beside it."""
    if isinstance(value, Histogram):
        counts, edges = value
        writer.add_histogram(name, np.repeat(edges[1:] + edges[:-1], counts) / 2, step, bins=edges)
    elif isinstance(value, LinePlot):
        writer.add_figure(name, draw_lines(value), step)
    elif isinstance(value, list):
        lines = [list(value[0]), ["---"] * len(value[0])]
        for number, row in enumerate(value):
            lines.append([_as_text(cell, number) for cell in row.values()])
            for cell in row.values():
                if isinstance(cell, VideoClip):
                    writer.add_image(f"{name}/{number}", cell.picture, step, dataformats="HWC")
        writer.add_text(name, "\n".join(f"| {' | '.join(line)} |" for line in lines), step)


def _as_text(cell: Cell, number: int) -> str:
    if isinstance(cell, VideoClip):
        return f"image {number}"
    if isinstance(cell, float):
        return f"{cell:.3f}"
    return "" if cell is None else str(cell).replace("|", "\\|").replace("\n", " ")
