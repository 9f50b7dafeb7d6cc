"""Loggers of a run: W&B, TensorBoard or a CSV file.

``make_logger`` makes Lightning's logger of a run. ``Board`` logs values that Lightning's loggers
have no method for: tables, videos, plots and checkpoints.
"""

import csv
import logging
import os
import re
import subprocess
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from omegaconf import OmegaConf
from pytorch_lightning.loggers import CSVLogger, Logger, TensorBoardLogger, WandbLogger
from pytorch_lightning.loggers.logger import DummyLogger
from pytorch_lightning.utilities import rank_zero_only

from sola.config.processes import is_first_process, name_job
from sola.config.targets import Later
from sola.errors import UserError
from sola.selector.base import PROVENANCE_KEY
from sola.visualization.plots import LinePlot, draw_lines
from sola.weights_file import read_weights

log = logging.getLogger(__name__)

# most W&B rows of an optimizer step: those of the step, and of an epoch and a validation after it
MAX_ROWS_PER_STEP = 4
# all four are needed, or W&B writes tables and artifacts into the home folder
WANDB_DIRS = {
    "WANDB_DIR": "",
    "WANDB_DATA_DIR": "wandb/data",
    "WANDB_CACHE_DIR": "wandb/cache",
    "WANDB_CONFIG_DIR": "wandb/config",
}


class VideoClip(NamedTuple):
    """A short video for W&B, and one picture of it for TensorBoard.

    Attributes:
        path: an mp4, which may be deleted once it is logged.
        picture: (H, W, 3) RGB.
        caption: one line of text.
    """

    path: Path
    picture: NDArray[np.uint8]
    caption: str


class Histogram(NamedTuple):
    """(K,) counts and (K + 1,) edges, as ``numpy.histogram`` returns them."""

    counts: NDArray[Any]
    edges: NDArray[Any]


Cell = str | float | VideoClip | None
# rows of values by column
Table = list[dict[str, Cell]]
Value = float | Histogram | LinePlot | Table


class Board:
    """Logs values of all kinds to one logger, on rank 0 only.

    Args:
        logger: W&B gets every value, TensorBoard gets pictures instead of videos, and other loggers
            get only numbers.
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
    def add_checkpoint(self, path: Path) -> None:
        """Upload a selector's checkpoint (W&B only), with its provenance as metadata."""
        if isinstance(self.logger, WandbLogger):
            import wandb

            metadata = read_weights(path)[PROVENANCE_KEY]
            kind = metadata["selector"]["_target_"].rpartition(".")[2]
            name = re.sub(r"[^\w.-]", "-", f"selector-{kind}-{metadata['dataset']}")
            artifact = wandb.Artifact(name, "selector", metadata=metadata)
            artifact.add_file(str(path))
            self.logger.experiment.log_artifact(artifact)


def git_state() -> dict[str, Any]:
    """Return the commit of the code ("none" outside a repository) and whether files differ."""
    folder = Path(__file__).parents[1]

    def git(*words: str) -> str:
        command = ["git", "-C", str(folder), *words]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    try:
        git("ls-files", "--error-unmatch", "__init__.py")  # else it is an installed copy
        return {"commit": git("rev-parse", "HEAD"), "is_dirty": bool(git("status", "--porcelain"))}
    except (OSError, subprocess.CalledProcessError):
        return {"commit": "none", "is_dirty": False}


def make_logger(
    node: Later[Logger] | None,
    *,
    job_type: str,
    is_dry: bool = False,
    first_step: int = 0,
    goes_on: bool = False,
) -> Logger:
    """Return the logger of a run, and log its type as the first line of the run.

    Args:
        node: configuration of the logger; None: log nothing.
        job_type: train or generate; W&B can group runs by it.
        is_dry: whether to write nothing (``trainer.fast_dev_run``).
        first_step: optimizer steps of the run that this one resumes. A CSV file keeps the rows of
            these steps, and TensorBoard hides later ones.
        goes_on: whether the resumed run is in the same folder, and so stays the same W&B run.

    Raises:
        UserError: if the logger rejects a value.
    """
    if is_dry or node is None:
        log.info("logger: none%s", ", trainer.fast_dev_run writes nothing" if is_dry else "")
        return DummyLogger()
    target = str(node.node["_target_"])
    if target.startswith("sola."):  # W&B, which reports itself
        return node(job_type=job_type, first_step=first_step, goes_on=goes_on)
    is_tensorboard = target.endswith(".TensorBoardLogger")
    logger = node(purge_step=first_step or None) if is_tensorboard else node()
    if isinstance(logger, CSVLogger):
        keep_rows(logger, first_step)
    log.info("logger: %s", type(logger).__name__)
    return logger


def keep_rows(logger: CSVLogger, first_step: int) -> None:
    """Keep only the rows of metrics.csv from before the step at which the run resumes.

    Args:
        logger: Lightning's logger, which would start an empty file.
        first_step: see ``make_logger``.
    """
    path, rows = Path(logger.log_dir) / "metrics.csv", list[dict[str, Any]]()
    if first_step > 0 and path.is_file():
        whole = path.read_text().rpartition("\n")[0]  # a killed process may leave half a row
        for row in csv.DictReader(whole.splitlines()):
            if int(row["step"] or first_step) < first_step:
                rows.append({name: value for name, value in row.items() if value})
    with warnings.catch_warnings():
        # Hydra has written files into the folder; Lightning deletes the old metrics.csv
        warnings.filterwarnings("ignore", ".*exists and is not empty.*")
        logger.experiment.metrics = rows
    logger.save()


def wandb_logger(
    save_dir: str | Path,
    project: str = "sola",
    entity: str | None = None,
    group: str | None = None,
    name: str | None = None,
    *,
    job_type: str = "train",
    first_step: int = 0,
    goes_on: bool = False,
) -> Logger:
    """Return Lightning's logger of a W&B run, which is offline without a W&B login.

    Args:
        save_dir: folder of the run.
        project: W&B project.
        entity: W&B user or team; None: the default of the login.
        group: W&B group of the run; None: the name of the sweep's folder, if it is part of a sweep.
        name: name of the run; None: its overrides, such as "seed=1".
        job_type: see ``make_logger``.
        first_step: see ``make_logger``.
        goes_on: see ``make_logger``.

    Raises:
        UserError: if W&B rejects a value.
    """
    from wandb.errors import UsageError

    mode = os.environ.get("WANDB_MODE", "")
    if mode == "disabled":
        log.info("logger: none, W&B is disabled by WANDB_MODE")
        return DummyLogger()
    output_dir, job = Path(save_dir), name_job()
    id_path = output_dir / "wandb/run_id"
    is_offline = mode in ("offline", "dryrun") or (not mode and not _is_logged_in())
    why, runs = "WANDB_MODE" if mode else "nobody is logged in", output_dir / "wandb/offline-run-*"
    offline = f"offline ({why}); later: wandb sync {runs}"
    log.info("logger: W&B, %s", offline if is_offline else f"online, project {project}")
    logger = WandbLogger(
        name=name or job.overrides,
        save_dir=output_dir,
        project=project,
        entity=entity,
        id=id_path.read_text() if goes_on and id_path.is_file() else None,
        group=group or job.sweep,
        job_type=job_type,
        mode="offline" if is_offline else None,
    )
    if is_first_process():
        for variable, folder in _wandb_dirs(output_dir).items():
            Path(os.environ.setdefault(variable, folder)).mkdir(parents=True, exist_ok=True)
        try:
            run = logger.experiment
        except UsageError as error:
            raise UserError(f"logger: {error}") from error
        id_path.write_text(run.id)
        if goes_on and is_offline:  # W&B does not know the last step of the resumed run
            run.log({}, step=MAX_ROWS_PER_STEP * first_step)
    return logger


def finish_logger(logger: Logger) -> None:
    """End a run, so that the next job of a sweep gets a run and folders of its own."""
    logger.finalize("success")
    if isinstance(logger, WandbLogger) and is_first_process():
        import wandb

        logger.experiment.finish()
        wandb.teardown()  # with finish() only, the end of the file may not be written
        for name, folder in _wandb_dirs(Path(logger.save_dir or "")).items():
            if os.environ.get(name) == folder:
                del os.environ[name]


def _as_wandb(name: str, value: Value) -> dict[str, Any]:
    """Return W&B values by name; a table's videos are also logged as <name>_videos.

    W&B gives videos in a table no caption.
    """
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
    """Write a value that is not a number; a table becomes Markdown with separate pictures."""
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


def _wandb_dirs(output_dir: Path) -> dict[str, str]:
    """Return the environment variables that keep W&B's files in the folder of the run."""
    return {name: str((output_dir / folder).absolute()) for name, folder in WANDB_DIRS.items()}


def _is_logged_in() -> bool:
    """Return whether there is a W&B login, without calling ``wandb.login``."""
    from requests.utils import get_netrc_auth

    if os.environ.get("WANDB_API_KEY") or os.environ.get("WANDB_IDENTITY_TOKEN_FILE"):
        return True
    return bool(get_netrc_auth(os.environ.get("WANDB_BASE_URL") or "https://api.wandb.ai"))
