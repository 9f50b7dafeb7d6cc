"""Runs of train.py and evaluate.py that benchmarks make once, and read when they are finished."""

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from sola.weights_file import read_weights


class Recipe(NamedTuple):
    """How a selector is trained, and on which splits it is measured."""

    words: tuple[str, ...]
    """Arguments of train.py."""
    dataset: str = "moving_shapes_large"
    splits: tuple[str, ...] = ("tune", "valid_u", "paraphrase")
    """The first one chooses the threshold."""


RELATIONS = ("moving_shapes_relations", ("tune", "valid_u"))
PAPER = ("experiment=moving_shapes",)
ALONE = "selector.num_comparisons=0"
RECIPES = {
    "word_match": Recipe(("experiment=word_match",)),
    "baseline": Recipe((*PAPER, "selector=baseline")),
    "small": Recipe(PAPER),
    "paper_strides": Recipe((*PAPER, "selector.motion_strides=[2,2,2,1,1]")),
    "paper_gain": Recipe((*PAPER, "selector.motion_gain=1")),
    "paper_negatives": Recipe((*PAPER, "selector.num_negatives=32")),
    "alone": Recipe(("experiment=word_match", ALONE)),
    "with_grid": Recipe(("experiment=word_match", "data.train_sources=[gt,grid]")),
    "half_the_videos": Recipe(
        ("experiment=word_match", "data.max_videos=1200", "trainer.max_epochs=6")
    ),
    "relations_word_match": Recipe(("experiment=relations",), *RELATIONS),
    "relations_alone": Recipe(("experiment=relations", ALONE), *RELATIONS),
    "relations_baseline": Recipe(("experiment=relations", "selector=baseline"), *RELATIONS),
    "relations_small": Recipe(
        (
            *(*PAPER, "dataset=moving_shapes_relations"),
            *("data.max_expressions=null", "trainer.max_epochs=20"),
        ),
        *RELATIONS,
    ),
}


def call(*command: str) -> None:
    """Run a program of this repository, such as ``call("train.py", "seed=1")``; print its command.

    Raises:
        subprocess.CalledProcessError: if it fails.
    """
    print("python", *command, file=sys.stderr, flush=True)
    subprocess.run([sys.executable, *command], check=True, stdout=subprocess.DEVNULL)


class Training(NamedTuple):
    """What is known of a finished training."""

    words: list[str]
    """Arguments of train.py."""
    epochs: int
    seconds: float | None
    """Wall clock of train.py, with start-up and validation; None if the run was resumed."""


def train_once(folder: Path, *words: str) -> Training:
    """Run train.py, unless the folder has a finished run; an interrupted run is resumed.

    Args:
        folder: output folder of train.py.
        words: its other arguments.

    Raises:
        SystemExit: if the finished run had other arguments.
    """
    path = folder / "training.json"
    if not path.is_file():
        is_resumed = (folder / "last.ckpt").is_file()
        start = time.perf_counter()
        call("train.py", *words, "resume=true", f"hydra.run.dir={folder}")
        seconds = None if is_resumed else time.perf_counter() - start
        epochs = read_weights(folder / "last.ckpt")["epoch"] + 1
        path.write_text(json.dumps(Training([*words], epochs, seconds)._asdict(), indent=1))
    training = Training(**json.loads(path.read_text()))
    if training.words != [*words]:
        raise SystemExit(
            f"{folder}: was trained with {' '.join(training.words)}, this run requests "
            f"{' '.join(words)}. Choose another --out."
        )
    return training


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


def jf_by_threshold(evaluation: dict[str, Any]) -> dict[float, float]:
    """Return J&F in [0, 1] of the selection at every threshold of an evaluation."""
    return {row["threshold"]: row["J&F"] for row in evaluation["curve"]}


def best_threshold(curves: Sequence[dict[float, float]]) -> float:
    """Return the threshold with the highest mean J&F over seeds, each a ``jf_by_threshold``."""
    return max(curves[0], key=lambda threshold: sum(curve[threshold] for curve in curves))
