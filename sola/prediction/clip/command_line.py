"""Complete the command line of ``predict.py video=...`` before Hydra reads it."""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from sola.config.composition import CONF_DIR
from sola.config.device import pick_device
from sola.errors import UserError
from sola.selector.checkpoint import read_provenance

GPU_TRACKER, CPU_TRACKER = "sam2.1_hiera_large", "sam2.1_hiera_tiny"
OWN = ("tracker", "text_encoder")
"""Groups whose names a checkpoint records."""


def complete(words: Sequence[str]) -> list[str]:
    """Return the overrides of predict.py with those that ``video=...`` implies.

    Without a typed data set it is ``dataset=clip``. Without a checkpoint it is
    ``selector=detection``, and a GPU gets SAM 2.1 large, a CPU the tiny one. A checkpoint gets the
    tracker, the text encoder and the prompt sources of its training. Typed values are kept.

    Args:
        words: overrides as typed, and flags of Hydra.
    """
    typed = dict(word.lstrip("+").split("=", 1) for word in words if "=" in word)
    if "video" not in typed or typed.get("dataset", "clip") != "clip":
        return list(words)
    implied = {"dataset": "clip"}
    ckpt_path = typed.get("ckpt_path", "null")
    if ckpt_path != "null":
        recorded = _of_training(Path(ckpt_path).expanduser())
        known = {key: name for key, name in recorded.items() if _is_choice(key, name, words)}
        implied |= known
    else:
        device = pick_device(typed.get("trainer.accelerator", "auto"))
        implied["tracker"] = CPU_TRACKER if device.type == "cpu" else GPU_TRACKER
        implied["selector"] = "detection"
    return [*words, *(f"{key}={value}" for key, value in implied.items() if key not in typed)]


def _is_choice(key: str, name: str, words: Sequence[str]) -> bool:
    """Return whether a group has a file of this name, in conf/ or a folder of --config-dir."""
    given = [word.partition("=")[2] for word in words if word.startswith("--config-dir=")]
    given += [after for word, after in pairwise(words) if word in ("--config-dir", "-cd")]
    folders = (CONF_DIR, *map(Path, given))
    return key not in OWN or any((each / key / f"{name}.yaml").exists() for each in folders)


def _of_training(ckpt_path: Path) -> dict[str, str]:
    """Return what a checkpoint records of its training; {} if it cannot be read."""
    try:
        record = read_provenance(ckpt_path)
    except UserError:
        return {}  # the message follows when the selector is loaded
    found: dict[str, Any] = {key: record[key] for key in OWN if key in record}
    if sources := record.get("valid_sources"):
        found["sources"] = f"[{','.join(sources)}]"
    return found
