"""Check that configured paths exist, before the run's folder is made and torch is imported."""

import sys
from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf

from sola.config.composition import ENTRIES
from sola.config.console import show_error
from sola.config.messages import fault_of_video
from sola.config.sweep import note_sweep
from sola.hub import is_path

REMEDIES = {
    "dataset.root": "Put the data set there (data/README.md), or set dataset.root or data_root.",
    "ckpt_path": "Correct the path, or train a selector first.",
    "video": "Give a video file or a folder of images.",
}


class CheckPaths(Callback):
    """End a run with one message and status 1 if a configured file or folder is missing."""

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Check a single run."""
        _check(config)

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Check the values that all jobs of a sweep share, and remember the sweep's folder."""
        _check(config)
        note_sweep(Path(config.hydra.sweep.dir))


def _check(config: DictConfig) -> None:
    entry = ENTRIES.get(str(config.hydra.job.config_name))
    keys = entry.paths if entry else ()
    if "dataset.root" in keys:
        parts = OmegaConf.select(config, "dataset.parts") or {}
        keys = (*keys, *(f"dataset.parts.{name}.root" for name in parts))
    for key in keys:
        value = OmegaConf.select(config, key, throw_on_missing=False)
        if not isinstance(value, str) or value == "unknown":
            continue
        if key.endswith("checkpoint") and not is_path(value):
            continue
        if key == "video" and (fault := fault_of_video(value)):
            show_error(fault)
            sys.exit(1)
        if key == "dataset.root" and _is_not_read(config):
            continue
        if not Path(value).expanduser().exists():
            remedy = REMEDIES.get(key, "Correct the path, or put the file there.")
            show_error(f"{key}={value}: not found. {remedy}")
            sys.exit(1)  # an exception here would become a warning


def _is_not_read(config: DictConfig) -> bool:
    """Return whether the data set is synthetic, or replaced by a clip."""
    return OmegaConf.select(config, "dataset.maker") is not None or bool(config.get("video"))
