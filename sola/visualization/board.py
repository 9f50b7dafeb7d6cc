"""What a run shows while it works, in W&B, TensorBoard or a CSV file.

``make_logger`` makes Lightning's logger of a run; ``Board`` logs what Lightning's loggers have no
method for: tables, videos, plots, checkpoints.
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

# of W&B for a step of the optimizer: the step, and the epoch and the validation that it may end
MAX_ROWS_PER_STEP = 4
# all four, or W&B writes tables and artifacts into the home folder
WANDB_DIRS = {
    "WANDB_DIR": "",
    "WANDB_DATA_DIR": "wandb/data",
    "WANDB_CACHE_DIR": "wandb/cache",
    "WANDB_CONFIG_DIR": "wandb/config",
}


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
    def add_checkpoint(self, path: Path) -> None:
        """Upload the checkpoint of a training (W&B only), with its provenance as metadata."""
        if isinstance(self.logger, WandbLogger):
            import wandb

            metadata = read_weights(path)[PROVENANCE_KEY]
            kind = metadata["selector"]["_target_"].rpartition(".")[2]
            name = re.sub(r"[^\w.-]", "-", f"selector-{kind}-{metadata['dataset']}")
            artifact = wandb.Artifact(name, "selector", metadata=metadata)
            artifact.add_file(str(path))
            self.logger.experiment.log_artifact(artifact)


def git_state() -> dict[str, Any]:
    """Return the commit of the code and whether files differ; "none" outside of a repository."""
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
    """Return the logger of a run, and report it as the first line of the run.

    Args:
        node: the group logger; None: nothing is logged.
        job_type: train or generate, by which W&B can group runs.
        is_dry: write nothing (``trainer.fast_dev_run``).
        first_step: optimizer steps of the run that this one resumes. A CSV file keeps its rows of
            these steps, and TensorBoard hides later ones.
        goes_on: the resumed run is in the same folder, and stays the same run of W&B.

    Raises:
        UserError: if the constructor refuses a value.
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
    """Keep the rows of metrics.csv that the run had when it was interrupted, and no others.

    Args:
        logger: Lightning's, which would begin an empty file.
        first_step: see ``make_logger``.
    """
    path, rows = Path(logger.log_dir) / "metrics.csv", list[dict[str, Any]]()
    if first_step > 0 and path.is_file():
        whole = path.read_text().rpartition("\n")[0]  # a killed process may cut the last row off
        for row in csv.DictReader(whole.splitlines()):
            if int(row["step"] or first_step) < first_step:
                rows.append({name: value for name, value in row.items() if value})
    with warnings.catch_warnings():
        # the folder has files of Hydra; Lightning deletes the old metrics.csv
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
    """Return Lightning's logger of a run of W&B, which is offline if nobody is logged in.

    Args:
        save_dir: folder of the run.
        project: of W&B.
        entity: user or team; None: the default of the login.
        group: runs of a group are shown together; None: those of a sweep, by its folder's name.
        name: of the run; None: its overrides, such as "seed=1".
        job_type: see ``make_logger``.
        first_step: see ``make_logger``.
        goes_on: see ``make_logger``.

    Raises:
        UserError: if W&B refuses a value.
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
        if goes_on and is_offline:  # W&B does not know the rows of the run that is resumed
            run.log({}, step=MAX_ROWS_PER_STEP * first_step)
    return logger


def finish_logger(logger: Logger) -> None:
    """End a run, so that the next job of a sweep gets a run and folders of its own."""
    logger.finalize("success")
    if isinstance(logger, WandbLogger) and is_first_process():
        import wandb

        logger.experiment.finish()
        wandb.teardown()  # finish() alone may leave the end of the file unwritten
        for name, folder in _wandb_dirs(Path(logger.save_dir or "")).items():
            if os.environ.get(name) == folder:
                del os.environ[name]


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


def _wandb_dirs(output_dir: Path) -> dict[str, str]:
    """The environment that keeps W&B in the folder of the run."""
    return {name: str((output_dir / folder).absolute()) for name, folder in WANDB_DIRS.items()}


def _is_logged_in() -> bool:
    """Look for a login without ``wandb.login``, which decides between online and offline."""
    from requests.utils import get_netrc_auth

    if os.environ.get("WANDB_API_KEY") or os.environ.get("WANDB_IDENTITY_TOKEN_FILE"):
        return True
    return bool(get_netrc_auth(os.environ.get("WANDB_BASE_URL") or "https://api.wandb.ai"))
