"""Compare what two runs left in their folders, bit by bit."""

import csv
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

# Folders; the score of the last validation, and calls that do nothing, which Lightning counts.
EXCEPTED = {"dirpath", "best_model_path", "last_model_path", "kth_best_model_path"}
EXCEPTED |= {"best_k_models", "current_score", "epoch_loop.scheduler_progress"}


def differences(a: Any, b: Any, where: str = "") -> list[str]:
    """Where two contents of checkpoints are not the same bits; folders may differ."""
    if isinstance(a, dict) and isinstance(b, dict):
        keys = (a.keys() | b.keys()) - EXCEPTED
        return [x for key in keys for x in differences(a.get(key), b.get(key), f"{where}/{key}")]
    if isinstance(a, list | tuple) and isinstance(b, list | tuple) and len(a) == len(b):
        pairs = enumerate(zip(a, b, strict=True))
        return [x for idx, (one, two) in pairs for x in differences(one, two, f"{where}/{idx}")]
    if isinstance(a, Tensor) and isinstance(b, Tensor):
        return [] if torch.equal(a, b) else [where]
    return [] if a == b else [f"{where}: {a} {b}"]


def assert_same_end(whole: Path, killed: Path) -> None:
    """Both checkpoints and the rows of metrics.csv are the same, and nothing else is left."""
    for name in ("last.ckpt", "best.ckpt"):
        contents = [torch.load(folder / name, weights_only=True) for folder in (whole, killed)]
        found = differences(*contents)
        assert not found, found
    rows = []
    for folder in (whole, killed):
        with (folder / "metrics.csv").open() as file:
            rows.append([dict(sorted(row.items())) for row in csv.DictReader(file)])
    assert len(rows[0]) == len(rows[1])
    for one, other in zip(*rows, strict=True):
        assert one == other, (one, other)
    assert not list(killed.glob("*.part"))
