"""Where the numbers of a run go: a CSV file, or Weights & Biases."""

import logging
import os
from pathlib import Path

from pytorch_lightning.loggers import CSVLogger, Logger

from sola.config.schema import LoggerConfig

log = logging.getLogger(__name__)

LOGGERS = ("csv", "wandb")
WANDB_DIRS = {
    # all four, or tables land in the home folder
    "WANDB_DIR": "",
    "WANDB_DATA_DIR": "wandb/data",
    "WANDB_CACHE_DIR": "wandb/cache",
    "WANDB_CONFIG_DIR": "wandb/config",
}


def make_logger(config: LoggerConfig, output_dir: Path) -> Logger:
    """The logger of a run; says which, as the run's first line.

    Raises:
        ValueError: if the name is not known.
    """
    if config.name == "csv":
        log.info("logger: CSV, %s", output_dir / "metrics.csv")
        return CSVLogger(save_dir=output_dir, name="", version="")
    if config.name == "wandb":
        return _make_wandb(config, output_dir)
    raise ValueError(f"logger.name={config.name}: not known; choose one of {LOGGERS}.")


def _make_wandb(config: LoggerConfig, output_dir: Path) -> Logger:
    for name, folder in WANDB_DIRS.items():
        path = Path(os.environ.setdefault(name, str((output_dir / folder).absolute())))
        path.mkdir(parents=True, exist_ok=True)
    import wandb
    from pytorch_lightning.loggers import WandbLogger

    mode = os.environ.get("WANDB_MODE", "")
    is_offline = mode == "offline" or (not mode and not wandb.api.api_key)
    if mode == "disabled":
        log.info("logger: W&B, disabled by WANDB_MODE")
    elif is_offline:
        why = "WANDB_MODE" if mode else "nobody is logged in"
        runs = output_dir / "wandb" / "offline-run-*"
        log.info("logger: W&B, offline (%s); later: wandb sync %s", why, runs)
    else:
        log.info("logger: W&B, online, project %s", config.project)
    return WandbLogger(project=config.project, save_dir=output_dir, offline=is_offline)
