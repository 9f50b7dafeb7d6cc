"""Quality of selection on synthetic videos over several seeds: the tables of docs/results.md.

    python benchmarks/results.py                     # what make results runs
    python benchmarks/results.py small               # the paper's network

Needs the tracks that ``make results`` makes. Trains every selector by its recipe (RECIPES in
runs.py), chooses one threshold for all its seeds on split tune, and evaluates its splits with it.
Finished runs below outputs/results are read, not repeated. Writes the figures of each selector to
outputs/results.json, and prints its tables (tables.py), the minutes of each training, and one line
per figure with a bar, ``ratio <name> <value> bar <value>``; relations are compared with the
baseline in points.
"""

import argparse
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import tables
from runs import RECIPES, Training, best_threshold, evaluate_once, jf_by_threshold, train_once

DEFAULT = ("word_match", "baseline", "relations_word_match", "relations_baseline")

Evaluation = dict[str, Any]


def main() -> None:
    """Make the missing runs, and print the tables."""
    parser = argparse.ArgumentParser(description="J&F of selectors over seeds")
    parser.add_argument("selectors", nargs="*", help=f"of {', '.join(RECIPES)}")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--processes", type=int, default=2, help="runs at the same time")
    parser.add_argument("--out", type=Path, default=Path("outputs/results"))
    parser.add_argument("--figures", type=Path, default=tables.PATH, help="file to write")
    parser.add_argument("--overrides", nargs="+", default=[], help="such as data_root=...")
    options = parser.parse_args()
    if unknown := set(options.selectors) - set(RECIPES):
        parser.error(f"selectors: expected some of {', '.join(RECIPES)}, got {sorted(unknown)}")
    names = options.selectors or DEFAULT
    with ThreadPoolExecutor(options.processes) as pool:
        jobs = {
            name: [pool.submit(_train, name, seed, options) for seed in options.seeds]
            for name in names
        }
        for name in names:
            trainings = [job.result() for job in jobs[name]]
            figures = _evaluate(name, options, pool)
            figures["minutes"] = [
                each.seconds and round(each.seconds / 60, 1) for each in trainings
            ]
            tables.update("selectors", name, figures, options.figures)
    found = tables.read(options.figures)["selectors"]
    tables.show({name: found[name] for name in names})


def _train(selector: str, seed: int, options: argparse.Namespace) -> Training:
    folder = options.out / selector / f"seed_{seed}"
    return train_once(folder, *RECIPES[selector].words, f"seed={seed}", *options.overrides)


def _evaluate(
    selector: str, options: argparse.Namespace, pool: ThreadPoolExecutor
) -> dict[str, Any]:
    """Return the figures of a trained selector: its threshold, and J&F by split, kind and seed."""
    recipe = RECIPES[selector]
    folders = [options.out / selector / f"seed_{seed}" for seed in options.seeds]

    def evaluate(folder: Path, split: str, threshold: float | None = None) -> Evaluation:
        name = split if threshold is None else f"{split}_{threshold:g}"
        words = [f"dataset={recipe.dataset}", f"split={split}", *options.overrides]
        words += [] if threshold is None else [f"threshold={threshold:g}"]
        return evaluate_once(folder / "best.ckpt", folder / name, *words)

    first = recipe.splits[0]
    curves = pool.map(lambda folder: jf_by_threshold(evaluate(folder, first)), folders)
    threshold = best_threshold([*curves])
    jobs = {
        split: [pool.submit(evaluate, folder, split, threshold) for folder in folders]
        for split in recipe.splits
    }
    splits = {
        split: _of_seeds([job.result() for job in of_split]) for split, of_split in jobs.items()
    }
    return {
        "dataset": recipe.dataset,
        "seeds": options.seeds,
        "threshold": threshold,
        "splits": splits,
    }


def _of_seeds(evaluations: list[Evaluation]) -> dict[str, tables.Row]:
    """Return the number of expressions and J&F in percent by kind, answer and seed."""
    rows = {}
    for kind in (tables.ALL, *evaluations[0]["by_kind"]):
        found = [e["results"] if kind == tables.ALL else e["by_kind"][kind] for e in evaluations]
        rows[kind] = {"number": found[0]["selection"]["num_expressions"]} | {
            answer: [round(100 * each[answer]["J&F"], 4) for each in found]
            for answer in tables.ANSWERS
            if found[0].get(answer, {}).get("J&F") is not None
        }
    return rows


if __name__ == "__main__":
    main()
