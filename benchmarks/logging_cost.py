"""What logging costs of a training step: W&B offline against no logger at all.

    python benchmarks/logging_cost.py          # CPU, some minutes

Both sides train the default network of 33 M parameters on the same random tracks, one expression a
step (64 tracks of 80 frames), in blocks that take turns. With logging, every ``--every``-th step is
a row of losses, learning rate and the gradient norms of every part; train.py's default is 10. CPU
time of this process, in which other work does not count; W&B writes its file in a process beside
it. Medians of steps without a logger, of steps that are a row, and of those between two rows; the
first of a block warms up. Prints ``ratio logging_cost <value> bar 1.02``, of the mean step, and the
same of a step that is a row.
"""

import argparse
import logging
import os
import statistics
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from random_tracks import NUM_EXPRESSIONS, open_data, write_data

from sola.config.schema import DataConfig, LoggerConfig, LossConfig, OptimizerConfig
from sola.reporting.dashboard.loggers import finish_logger, make_logger
from sola.selector import TrackSelector
from sola.training.callbacks import StepMetrics
from sola.training.dashboard import GradientNorms
from sola.training.module import SelectorModule

BAR = 1.02


class StepTimes(pl.Callback):
    """CPU seconds from the end of one step to that of the next."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self._last: float | None = None

    def on_train_batch_start(self, *unused: Any) -> None:
        """What Lightning logs of a step, it logs after its last hook."""
        now = time.process_time()
        if self._last is not None:
            self.seconds.append(now - self._last)
        self._last = now


def main() -> None:
    """Measures blocks of both sides in turn."""
    options = _parse_arguments()
    torch.set_num_threads(1)
    _quieten()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        # rows: never, on every step, on none but the last of a block
        loader = open_data(folder, write_data(folder, 1), DataConfig()).train_dataloader()
        times: dict[int, list[float]] = {0: [], 1: [], NUM_EXPRESSIONS: []}
        for block in range(options.blocks):
            for every, seconds in times.items():
                seconds += _measure(folder / f"{block}-{every}", loader, every)
    plain, row, between = (statistics.median(seconds) for seconds in times.values())
    mean = (row + (options.every - 1) * between) / options.every
    print(f"CPU time of a step, medians of {len(times[0])} a side: no logger {plain:.3f} s,")
    print(f"one that is a row {row:.3f} s, one between two rows {between:.3f} s")
    print(f"ratio logging_cost_of_a_row {row / plain:.4f} bar {BAR}")
    print(f"ratio logging_cost {mean / plain:.4f} bar {BAR}")


def _measure(run_dir: Path, loader: Any, every: int) -> list[float]:
    """Seconds of the steps of an epoch; ``every`` 0: without a logger."""
    torch.manual_seed(0)
    scorer: Any = None  # nothing is validated
    module = SelectorModule(TrackSelector(), LossConfig(), OptimizerConfig(), scorer)
    times, shown, logger = StepTimes(), [], None
    if every:
        logger = make_logger(LoggerConfig("wandb"), run_dir, job_type="benchmark")
        shown = [GradientNorms(), StepMetrics()]
    trainer = pl.Trainer(
        accelerator="cpu",
        devices=1,
        max_epochs=1,
        gradient_clip_val=1.0,
        limit_val_batches=0,
        log_every_n_steps=every or 1,
        callbacks=[times, *shown],
        logger=logger or False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=run_dir,
    )
    trainer.fit(module, train_dataloaders=loader)
    if logger is not None:
        finish_logger(logger)
    return times.seconds[1:]


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="cost of logging in a training step")
    parser.add_argument("--every", type=int, default=10, help="steps from one row to the next")
    parser.add_argument("--blocks", type=int, default=2, help=f"of {NUM_EXPRESSIONS} steps a side")
    return parser.parse_args()


def _quieten() -> None:
    os.environ |= {"WANDB_MODE": "offline", "WANDB_SILENT": "true"}
    for name in ("pytorch_lightning", "lightning.pytorch"):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore")


if __name__ == "__main__":
    main()
