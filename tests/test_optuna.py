"""Optuna chooses values of a training, in an empty folder, by its best valid/J&F."""

import csv
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
SMALL = """# @package _global_
defaults:
  - demo
  - _self_
dataset:
  maker:
    num_videos: {train: 2, valid_u: 2}
    num_frames: 4
    expressions_per_video: 3
    max_objects: 3
trainer:
  max_epochs: 1
"""
SEARCH = (
    "hydra/sweeper=optuna",
    "hydra.sweeper.direction=maximize",
    "hydra.sweeper.n_trials=2",
    "optimizer.lr=tag(log, interval(1e-5,1e-3))",
)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.skipif(
        importlib.util.find_spec("optuna") is None,
        reason="pip install 'sola-rvos[optuna]'",
    ),
]


def run(folder: Path, *words: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "sola.cli", words[0], "--config-dir", "own", *words[1:]],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_two_trials_end_with_the_best_values(tmp_path: Path) -> None:
    (tmp_path / "own" / "experiment").mkdir(parents=True)
    (tmp_path / "own" / "experiment" / "small.yaml").write_text(SMALL)
    small = (
        "dataset.maker.num_videos={train: 2, valid_u: 2}",
        "dataset.maker.num_frames=4",
        "dataset.maker.expressions_per_video=3",
        "dataset.maker.max_objects=3",
    )
    for split, source in (("train", "gt"), ("valid_u", "grid")):
        run(tmp_path, "generate", f"split={split}", f"prompt_source={source}", *small)

    run(tmp_path, "train", "-m", "experiment=small", *SEARCH, "hydra.sweep.dir=swept")

    lines = (tmp_path / "swept" / "sweep.csv").read_text().splitlines()
    rows = list(csv.DictReader(lines))
    best = yaml.safe_load((tmp_path / "swept" / "optimization_results.yaml").read_text())
    assert len(rows) == 2
    assert len({row["optimizer.lr"] for row in rows}) == 2
    assert best["best_value"] == max(float(row["valid/J&F"]) for row in rows)
    assert str(best["best_params"]["optimizer.lr"]) in {row["optimizer.lr"] for row in rows}
