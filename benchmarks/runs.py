"""Runs of train.py and evaluate.py that benchmarks make once, and read when they are finished."""

import json
import statistics
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

RECIPES = {
    "word_match": ("experiment=word_match",),
    "small_motion": ("experiment=moving_shapes",),
    "baseline": ("experiment=moving_shapes", "selector=baseline"),
}
"""Selector -> arguments of train.py."""
DATASET = "moving_shapes_large"
"""That of these recipes."""


def call(*command: str) -> None:
    """Run a program of this repository, such as ``call("train.py", "seed=1")``; print its command.

    Raises:
        subprocess.CalledProcessError: if it fails.
    """
    print("python", *command, file=sys.stderr, flush=True)
    subprocess.run([sys.executable, *command], check=True, stdout=subprocess.DEVNULL)


def evaluate_once(ckpt_path: Path, folder: Path, *words: str) -> dict[str, Any]:
    """Return the content of evaluation.json, after evaluate.py if the file is missing.

    Args:
        ckpt_path: checkpoint to evaluate.
        folder: output folder of evaluate.py.
        words: its other arguments.
    """
    path = folder / "evaluation.json"
    if not path.is_file():
        call("evaluate.py", *words, f"ckpt_path={ckpt_path}", f"hydra.run.dir={folder}")
    content: dict[str, Any] = json.loads(path.read_text())
    return content


def figure(values: Sequence[float]) -> str:
    """Return the mean in percent, with the standard deviation in brackets for several values."""
    mean = 100 * statistics.mean(values)
    if len(values) == 1:
        return f"{mean:.1f}"
    return f"{mean:.1f} ({100 * statistics.stdev(values):.1f})"
