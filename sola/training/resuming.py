"""Resume an interrupted run bit for bit: last.ckpt, and the state of the run in it."""

import random
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
import torch.distributed as dist
from pytorch_lightning.callbacks import Callback, Checkpoint, EarlyStopping
from pytorch_lightning.plugins.io import TorchCheckpointIO

from sola.checks import above, at_least
from sola.files import whole_file
from sola.training.loader import ResumableLoader

LAST_FILE = "last.ckpt"


class WholeFileIO(TorchCheckpointIO):
    """Checkpoints that are there whole or not at all, whenever the process dies.

    Lightning's own pass through the system's temporary folder: on another disk, moving them from
    there is writing them once more.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None
    ) -> None:
        """Writes beside the path, then renames."""
        with whole_file(Path(path)) as unfinished:
            torch.save(checkpoint, unfinished)


class LastCheckpoint(Checkpoint):
    """Writes last.ckpt, all that a run needs to resume: after every epoch, and within epochs.

    Args:
        dirpath: folder of the run.
        every_n_steps: optimiser steps from one to the next within an epoch; None: not by steps.
        every_n_minutes: the same by time.
    """

    def __init__(
        self,
        dirpath: str | Path,
        every_n_steps: int | None = None,
        every_n_minutes: float | None = None,
    ) -> None:
        at_least(1, every_n_steps=every_n_steps)
        above(0, every_n_minutes=every_n_minutes)
        self.path, self.every_n_steps = Path(dirpath) / LAST_FILE, every_n_steps
        self.interval = None if every_n_minutes is None else timedelta(minutes=every_n_minutes)
        self._saved_step, self._saved_at = 0, time.monotonic()

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Starts the clock; removes what a killed run left of a file that it was writing."""
        self._saved_step, self._saved_at = trainer.global_step, time.monotonic()
        if trainer.is_global_zero:
            for unfinished in self.path.parent.glob("*.part"):
                unfinished.unlink()

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, *unused: Any
    ) -> None:
        """Saves between two optimiser steps of an epoch."""
        # the last step of an epoch is followed by its validation, and that by on_train_epoch_end
        if trainer.is_last_batch or trainer.fit_loop._should_accumulate():
            return
        if self._is_due(trainer):
            self._save(trainer)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Saves an epoch's result, its validation included."""
        self._save(trainer)

    def _is_due(self, trainer: pl.Trainer) -> bool:
        steps = self.every_n_steps
        if steps and trainer.global_step % steps == 0 and trainer.global_step > self._saved_step:
            return True
        if self.interval is None:
            return False
        is_late = time.monotonic() - self._saved_at >= self.interval.total_seconds()
        return bool(trainer.strategy.broadcast(is_late))  # clocks differ, and all save together

    def _save(self, trainer: pl.Trainer) -> None:
        if trainer.fast_dev_run:  # type: ignore[attr-defined]
            return
        for logger in trainer.loggers:  # first: a run that goes on does not log these rows again
            logger.save()
        trainer.save_checkpoint(self.path)
        self._saved_step, self._saved_at = trainer.global_step, time.monotonic()


class Resumption(Callback):
    """Restores what Lightning leaves out: random states, places in epochs and between them."""

    def __init__(self) -> None:
        self._random_states: list[dict[str, Any]] = []
        self._loader_states: list[dict[str, Any]] = []
        self._is_between_epochs = False

    def state_dict(self) -> dict[str, Any]:
        """Random states of all processes; all of them have to call it."""
        states = [_random_state()]
        if dist.is_available() and dist.is_initialized():
            states *= dist.get_world_size()
            dist.all_gather_object(states, _random_state())
        return {"random_states": states}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Keeps them until training starts: what happens before draws numbers, too."""
        self._random_states = state_dict["random_states"]

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Closes an epoch that was over but for its last hooks, before Lightning reads it."""
        loop = checkpoint["loops"]["fit_loop"]
        self._loader_states = loop["state_dict"].get("combined_loader", [])
        epochs = loop["epoch_progress"]
        self._is_between_epochs = epochs["current"]["processed"] == epochs["current"]["ready"]
        if self._is_between_epochs:
            for part in ("total", "current"):
                epochs[part]["completed"] = epochs[part]["processed"]

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Sets the random states, or those of a new run, which differ between processes."""
        rank = trainer.global_rank
        if rank < len(self._random_states):
            _set_random_state(self._random_states[rank])
        elif rank:
            torch.manual_seed(torch.initial_seed() + rank)
        loader = trainer.train_dataloader
        for state in self._loader_states:  # Lightning forgets it where steps were counted before
            assert isinstance(loader, ResumableLoader)
            loader.load_state_dict(state)
        if self._is_between_epochs:  # or Lightning takes the next epoch for the end of this one
            trainer.fit_loop.epoch_loop.restarting = False
        stopping = trainer.early_stopping_callback
        if isinstance(stopping, EarlyStopping) and stopping.wait_count >= stopping.patience:
            trainer.should_stop = True


def _random_state() -> dict[str, Any]:
    """Of this process, in types that are safe to load."""
    version, numbers, gauss = random.getstate()
    state: Any = np.random.get_state()  # noqa: NPY002
    name, keys, position, has_gauss, cached = state
    return {
        "python": [version, list(numbers), gauss],
        "numpy": [name, torch.from_numpy(keys.astype(np.int64)), position, has_gauss, cached],
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state() if torch.cuda.is_available() else None,
    }


def _set_random_state(state: dict[str, Any]) -> None:
    version, numbers, gauss = state["python"]
    random.setstate((version, tuple(numbers), gauss))
    name, keys, *rest = state["numpy"]
    np.random.set_state((name, keys.numpy().astype(np.uint32), *rest))  # noqa: NPY002
    torch.set_rng_state(state["torch"])
    if state["cuda"] is not None and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda"])
