"""Cost of logging in a training step, with W&B offline.

    python benchmarks/logging_cost.py          # CPU, a minute

Trains the default network of 33 M parameters on random tracks, one expression per step (64 tracks
of 80 frames), with a row of losses, learning rate and gradient norms on every step, then with none.
It measures the CPU time, which ignores other work, of every call that logs and of all other threads
of the process, which are W&B's. W&B's own process, which writes the file, is not counted. The rest
is a step without a logger. (On a busy machine, two runs, one of them without a logger, differ by
more than this cost.) Prints ``ratio logging_cost <value> bar 1.02`` for a mean step if every
``--every``-th step logs a row (train.py's default is 10), and the same for a step that logs a row.
"""

import argparse
import functools
import logging
import os
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import pytorch_lightning as pl
import torch
from pytorch_lightning.trainer.connectors.logger_connector import _LoggerConnector
from random_tracks import open_data, write_data

from sola.config.targets import Later
from sola.selector import SelectionLoss, TrackSelector
from sola.training.module import SelectorModule
from sola.visualization.board import finish_logger, make_logger

BAR = 1.02
LOGGING_CALLS = (
    (_LoggerConnector, "update_train_step_metrics"),
    (SelectorModule, "on_before_optimizer_step"),
)
"""All functions that a step calls for logging; they call the logger's ``log_metrics``."""


@dataclass(frozen=True)
class Step:
    """CPU seconds of one step."""

    whole: float
    logging: float

    @property
    def ratio(self) -> float:
        """Return the time of the step with logging over that without."""
        return self.whole / (self.whole - self.logging)


class Clock(pl.Callback):
    """Measures CPU seconds from one step's start to the next, and those of logging calls."""

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self._last: tuple[float, float] | None = None
        self._in_calls = 0.0

    def counted(self, call: Callable[..., Any]) -> Callable[..., Any]:
        """Wrap a function to sum its time."""

        def timed(*args: Any, **kwargs: Any) -> Any:
            start = time.thread_time()
            try:
                return call(*args, **kwargs)
            finally:
                self._in_calls += time.thread_time() - start

        return timed

    def on_train_batch_start(self, *unused: Any) -> None:
        """End the previous step here, as Lightning logs after the step's last hook."""
        now, own = time.process_time(), time.thread_time()
        if self._last is not None:
            whole = now - self._last[0]
            of_others = whole - (own - self._last[1])
            self.steps.append(Step(whole, self._in_calls + of_others))
        self._last, self._in_calls = (now, own), 0.0


def main() -> None:
    """Measure steps that log a row, and steps between two rows."""
    options = _parse_arguments()
    torch.set_num_threads(1)
    _quieten()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        loader = open_data(folder, write_data(folder, 1)).train_dataloader()
        rows = _measure(folder / "rows", loader, 1, options.steps)
        between = _measure(folder / "between", loader, 1000, options.steps)
    of_row, of_others = (statistics.median(s.ratio for s in steps) for steps in (rows, between))
    whole = statistics.median(step.whole for step in rows)
    spent = statistics.median(step.logging for step in rows)
    print(f"a step that is a row: {whole:.3f} s of CPU time, {1000 * spent:.1f} ms of it logging")
    print(f"ratio logging_cost_of_a_row {of_row:.4f} bar {BAR}")
    mean = (of_row + (options.every - 1) * of_others) / options.every
    print(f"ratio logging_cost {mean:.4f} bar {BAR}")


def _measure(run_dir: Path, loader: Any, every: int, num_steps: int) -> list[Step]:
    """Return the steps when every ``every``-th logs a row; the first step warms up."""
    torch.manual_seed(0)
    scorer: Any = None  # nothing is validated
    adamw = functools.partial(torch.optim.AdamW, lr=5e-6, fused=True)
    module = SelectorModule(TrackSelector(), SelectionLoss(1.5, 0.3, 0.07), adamw, None, scorer)
    clock = Clock()
    target = "sola.visualization.board.wandb_logger"
    node = {"_target_": target, "save_dir": str(run_dir), "project": "sola"}
    logger = make_logger(Later(node, "logger"), job_type="benchmark")
    trainer = pl.Trainer(
        accelerator="cpu",
        devices=1,
        max_epochs=1,
        gradient_clip_val=1.0,
        limit_train_batches=num_steps + 2,
        limit_val_batches=0,
        log_every_n_steps=every,
        callbacks=[clock],
        logger=logger,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=run_dir,
    )
    patches = [
        mock.patch.object(owner, name, clock.counted(getattr(owner, name)))
        for owner, name in LOGGING_CALLS
    ]
    for patch in patches:
        patch.start()
    try:
        trainer.fit(module, train_dataloaders=loader)
    finally:
        for patch in patches:
            patch.stop()
        finish_logger(logger)
    return clock.steps[1:]


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="cost of logging in a training step")
    parser.add_argument("--every", type=int, default=10, help="steps from one row to the next")
    parser.add_argument("--steps", type=int, default=8, help="measured of each kind, at most 12")
    return parser.parse_args()


def _quieten() -> None:
    os.environ |= {"WANDB_MODE": "offline", "WANDB_SILENT": "true"}
    for name in ("pytorch_lightning", "lightning.pytorch"):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore")


if __name__ == "__main__":
    main()
