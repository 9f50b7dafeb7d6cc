"""A run of Weights & Biases, which a run that goes on in the same folder takes up."""

import os
import re
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers import WandbLogger
from pytorch_lightning.utilities import rank_zero_only

from sola.files import read_json, write_json
from sola.visualization.dashboard.values import Artifact, Clip, Distribution, Table, Value
from sola.visualization.report.charts import LineChart

STATE_FILE = "wandb/run.json"
"""In the folder of a run: its id in W&B, and the number of its next row."""
STEP = "trainer/global_step"
"""Lightning's name of the axis of all charts."""
_NOT_IN_NAMES = re.compile(r"[^\w.-]")
DIRS = {
    # all four, or tables and artifacts land in the home folder
    "WANDB_DIR": "",
    "WANDB_DATA_DIR": "wandb/data",
    "WANDB_CACHE_DIR": "wandb/cache",
    "WANDB_CONFIG_DIR": "wandb/config",
}


class WandbRun(WandbLogger):
    """Lightning's logger, and all that it does not pass on.

    Args:
        output_dir: folder of the run; everything of W&B lies below.
        project: of W&B.
        is_offline: whether nothing is sent.
        goes_on: with the run that the folder holds, if it does: the same id, and rows that follow
            those of its last checkpoint.
        kwargs: of ``wandb.init``.
    """

    def __init__(
        self, output_dir: Path, *, project: str, is_offline: bool, goes_on: bool, **kwargs: Any
    ) -> None:
        self._own_variables = [name for name in DIRS if name not in os.environ]
        for name, folder in DIRS.items():
            path = Path(os.environ.setdefault(name, str((output_dir / folder).absolute())))
            path.mkdir(parents=True, exist_ok=True)
        self._state_path = output_dir / STATE_FILE
        state: dict[str, Any] = {}
        if goes_on and self._state_path.is_file():
            state = read_json(self._state_path, "Move it away to start another W&B run.")
        # offline, W&B knows nothing of the rows before; online, it does
        self._first_row: int | None = state.get("next_row") if is_offline else None
        super().__init__(
            project=project,
            save_dir=output_dir,
            id=state.get("id") or secrets.token_hex(4),
            # not Lightning's own offline=True: it sets WANDB_MODE, for a sweep's next job as well
            mode="offline" if is_offline else None,
            resume=None if is_offline else "allow",
            **kwargs,
        )
        del self._wandb_init["anonymous"]  # W&B warns that it is gone

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Logs numbers."""
        self._log(dict(metrics), step)

    @rank_zero_only
    def show(self, values: Mapping[str, Value], step: int) -> None:
        """Logs whatever there is, in one row; the clips of a table beside it, too.

        W&B keeps a table's own in an artifact, where they have no names.
        """
        row = {name: _as_wandb(value) for name, value in values.items()}
        for name, value in values.items():
            if isinstance(value, Table) and value.clips():
                row[f"{name}_videos"] = [_as_video(clip) for clip in value.clips()]
        self._log(row, step)

    @rank_zero_only
    def record(self, artifact: Artifact, *, is_input: bool, keep_copy: bool = False) -> None:
        """Records an artifact as taken or as made by the run.

        Args:
            artifact: what it is.
            is_input: whether the run takes it.
            keep_copy: the file is copied into the run's folder, and uploaded; else W&B gets its
                path and checksum.
        """
        import wandb

        own = wandb.Artifact(
            _NOT_IN_NAMES.sub("-", artifact.name), artifact.kind, metadata=artifact.metadata
        )
        if artifact.path is not None and keep_copy:
            own.add_file(str(artifact.path))
        elif artifact.path is not None:
            own.add_reference(artifact.path.absolute().as_uri())
        # what use_artifact does, which refuses to offline
        self.experiment._log_artifact(own, is_user_created=True, use_after_commit=is_input)

    @rank_zero_only
    def save(self) -> None:
        """Writes down where a run that goes on from here begins."""
        run = self.experiment
        write_json(self._state_path, {"id": run.id, "next_row": run.step})

    @rank_zero_only
    def end(self) -> None:
        """Ends the run, so that the next job of a sweep gets its own, with folders of its own.

        Everything is on disk then, which it may not be after ``finish`` alone.
        """
        import wandb

        self.experiment.finish()
        wandb.teardown()
        for name in self._own_variables:
            os.environ.pop(name, None)

    def _log(self, row: dict[str, Any], step: int | None) -> None:
        if step is not None:
            row[STEP] = step
        self.experiment.log(row, step=self._first_row, commit=True)
        self._first_row = None


def _as_wandb(value: Value) -> Any:
    import wandb

    if isinstance(value, Distribution):
        return wandb.Histogram(np_histogram=(value.counts, value.edges))
    if isinstance(value, LineChart):
        return wandb.plot.line_series(
            [list(series.xs) for series in value.series],
            [list(series.ys) for series in value.series],
            keys=[series.name for series in value.series],
            title=value.title,
            xname=value.x_name,
            split_table=True,
        )
    if isinstance(value, Table):
        rows = [[_as_cell(cell) for cell in row] for row in value.rows]
        return wandb.Table(columns=list(value.columns), data=rows, allow_mixed_types=True)
    return value


def _as_cell(cell: Any) -> Any:
    return _as_video(cell) if isinstance(cell, Clip) else cell


def _as_video(clip: Clip) -> Any:
    import wandb

    return wandb.Video(str(clip.path), caption=clip.caption, format="mp4")
