"""Ablation of the selector on synthetic videos: tables of short runs.

    python benchmarks/ablation.py batching --seeds 0 1 2    # ways of batching
    python benchmarks/ablation.py motion                    # limits of expressions about motion

The first runs on moving_shapes and needs the tracks of ``make demo``. The second runs on
moving_shapes_large with the tracks of ``make results`` and gt tracks of valid_u: with only
ground-truth prompts, all losses are due to selection. Every variant runs ``train.py`` on the recipe
with some overrides and fewer epochs, then ``evaluate.py`` on valid_u with its best.ckpt. Finished
runs are read, not repeated. Prints J&F in percent by kind of expression, mean and standard
deviation over the seeds.
"""

import argparse
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runs import evaluate_once, figure, train_once

KINDS = ("appearance", "both", "motion", "several", "none")
BY_EXPRESSION = ("data.group_by=expression", "data.batch_size=1")
PACKED = ("data.batch_size=1", "data.max_tokens=1400")
"""About two videos of 12 expressions, 3.5 tracks and 16 frames."""
FOUR_STEPS = ("selector.motion_strides=[2,2,1,1,1]",)
"""Four time steps after the motion encoder from 16 frames; the paper's strides leave 2."""


MOTION: dict[str, tuple[str, ...]] = {
    "the recipe (motion gain 8)": (),
    "motion gain 1, as in the paper": ("selector.motion_gain=1",),
    "motion gain 4": ("selector.motion_gain=4",),
    "4 time steps instead of 2": FOUR_STEPS,
    "no negative tokens": ("selector.num_negatives=0",),
    "no alignment loss": ("loss.alignment_weight=0",),
    "labels at IoU 0.7, not 0.5": ("data.label_iou=0.7",),
    "4 time steps, no negative tokens": (*FOUR_STEPS, "selector.num_negatives=0"),
    "baseline selector": ("selector=baseline",),
}
"""Row of the table -> overrides of the recipe."""


@dataclass(frozen=True)
class Ablation:
    """A table: its runs, and the options that they share."""

    experiment: str
    dataset: str
    num_epochs: int
    source: str
    """Prompt source of the candidate tracks."""
    common: tuple[str, ...]
    """Overrides of every training."""
    variants: dict[str, tuple[str, ...]]
    """Label of a row -> overrides of its training."""


TABLES = {
    "batching": Ablation(
        "demo",
        "moving_shapes",
        6,
        "grid",
        (),
        {
            "one expression a step": (*BY_EXPRESSION, "optimizer.lr=4e-5"),
            "two videos a step": (),
            "packed videos": PACKED,
            "packed expressions": ("data.group_by=expression", *PACKED),
        },
    ),
    "motion": Ablation(
        "moving_shapes",
        "moving_shapes_large",
        3,
        "gt",
        ("data.valid_sources=[gt]",),
        MOTION,
    ),
}


def main() -> None:
    """Make the missing runs of a table, and print it."""
    parser = argparse.ArgumentParser(description="tables of short runs on synthetic videos")
    parser.add_argument("table", nargs="?", choices=TABLES, help="hours each; none: says so")
    parser.add_argument("--variants", nargs="+", help="only some of them")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--epochs", type=int, help="3, for batching 6")
    parser.add_argument("--threshold", type=float, default=0.5)
    parser.add_argument("--out", type=Path, default=Path("outputs/ablation"))
    parser.add_argument("--overrides", nargs="+", default=[], help="such as data_root=...")
    options = parser.parse_args()
    if options.table is None:
        print(f"name a table, which takes hours of training: {' or '.join(TABLES)}")
        return
    table = TABLES[options.table]
    options.epochs = options.epochs or table.num_epochs
    rows = {
        name: [_run(table, name, seed, options) for seed in options.seeds]
        for name in options.variants or table.variants
    }
    _print_table(table, rows, options)


def _run(table: Ablation, name: str, seed: int, options: argparse.Namespace) -> dict[str, Any]:
    """Return the evaluation of one variant and seed."""
    variant = re.sub(r"\W+", "_", name)
    folder = options.out / table.dataset / f"{options.epochs}_epochs" / variant / f"seed_{seed}"
    train_once(
        folder,
        f"experiment={table.experiment}",
        f"seed={seed}",
        f"trainer.max_epochs={options.epochs}",
        "trainer.check_val_every_n_epoch=1",
        *table.common,
        *table.variants[name],
        *options.overrides,
    )
    return evaluate_once(
        folder / "best.ckpt",
        folder / f"valid_u_{options.threshold:g}",
        f"dataset={table.dataset}",
        "split=valid_u",
        f"sources=[{table.source}]",
        f"threshold={options.threshold}",
        *options.overrides,
    )


def _print_table(
    table: Ablation, rows: dict[str, list[dict[str, Any]]], options: argparse.Namespace
) -> None:
    print(
        f"J&F on {table.dataset}/valid_u, {table.source} tracks, threshold "
        f"{options.threshold:g}, {options.epochs} epochs, seeds {options.seeds}"
    )
    print("| variant | all |", " | ".join(KINDS), "|")
    print("|---|---|" + "---|" * len(KINDS))
    for name, evaluations in rows.items():
        figures = [figure([e["results"]["selection"]["J&F"] for e in evaluations])]
        for kind in KINDS:
            means = [e["by_kind"][kind]["selection"]["J&F"] for e in evaluations]
            figures.append(figure(means))
        print(f"| {name} |", " | ".join(figures), "|")


if __name__ == "__main__":
    main()
