"""Complete the command line of ``predict.py video=...`` before Hydra reads it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sola.config.device import pick_device
from sola.errors import UserError
from sola.selector.checkpoint import read_provenance

GPU_TRACKER, CPU_TRACKER = "sam2.1_hiera_large", "sam2.1_hiera_tiny"
OWN = ("tracker", "text_encoder")
"""Groups of which a checkpoint records the names that it was trained with."""


def complete(words: Sequence[str]) -> list[str]:
    """Return the overrides of predict.py with those that ``video=...`` implies.

    Without a typed data set it is ``dataset=clip``. Without a checkpoint, a GPU gets SAM 2.1 large
    and a CPU the tiny one; a checkpoint gets the tracker, the text encoder and the prompt sources
    of its training. Typed values are kept.

    Args:
        words: overrides as typed, and flags of Hydra.
    """
    typed = dict(word.lstrip("+").split("=", 1) for word in words if "=" in word)
    if "video" not in typed or "dataset" in typed:
        return list(words)
    implied = {"dataset": "clip"}
    if typed.get("ckpt_path"):
        implied |= _of_training(Path(typed["ckpt_path"]).expanduser())
    elif "tracker" not in typed:
        device = pick_device(typed.get("trainer.accelerator", "auto"))
        implied["tracker"] = CPU_TRACKER if device.type == "cpu" else GPU_TRACKER
    return [*words, *(f"{key}={value}" for key, value in implied.items() if key not in typed)]


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
