"""Runs of train.py and evaluate.py that benchmarks make once, and read when they are finished."""

import json
import statistics
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple


class Recipe(NamedTuple):
    """How a selector is trained, and on which splits it is measured."""

    words: tuple[str, ...]
    """Arguments of train.py."""
    dataset: str = "moving_shapes_large"
    splits: tuple[str, ...] = ("tune", "valid_u", "paraphrase")
    """The first one chooses the threshold."""


RELATIONS = ("moving_shapes_relations", ("tune", "valid_u"))
RECIPES = {
    "word_match": Recipe(("experiment=word_match",)),
    "baseline": Recipe(("experiment=moving_shapes", "selector=baseline")),
    "small_motion": Recipe(("experiment=moving_shapes",)),
    "alone": Recipe(("experiment=word_match", "selector=word_match_alone")),
    "gt_only": Recipe(("experiment=word_match", "data.train_sources=[gt]")),
    "no_best_track": Recipe(("experiment=word_match", "data.best_iou=null")),
    "half_the_videos": Recipe(
        ("experiment=word_match", "data.max_videos=1200", "trainer.max_epochs=6")
    ),
    "relations_word_match": Recipe(("experiment=relations",), *RELATIONS),
    "relations_alone": Recipe(("experiment=relations", "selector=word_match_alone"), *RELATIONS),
    "relations_baseline": Recipe(("experiment=relations", "selector=baseline"), *RELATIONS),
    "relations_small_motion": Recipe(
        (
            *("experiment=moving_shapes", "dataset=moving_shapes_relations"),
            *("data.train_sources=[gt]", "data.max_expressions=null", "trainer.max_epochs=20"),
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
