"""Quality of selection on synthetic videos over several seeds: the tables of docs/results.md.

    python benchmarks/results.py                     # what make results runs
    python benchmarks/results.py small               # the paper's network, half an hour a seed

Needs the tracks that ``make results`` makes. Trains every selector by its recipe (RECIPES in
runs.py), chooses one threshold for all its seeds on split tune, and evaluates its splits with it.
Finished runs below outputs/results are read, not repeated. Prints a table of J&F in percent for
each selector and split, mean and standard deviation over the seeds; the minutes of each training;
and one line per figure, ``ratio <name> <value> bar <value>``; relations are compared with the
baseline in points.
"""

import argparse
import statistics
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from runs import (
    RECIPES,
    Recipe,
    Training,
    best_threshold,
    evaluate_once,
    figure,
    jf_by_threshold,
    train_once,
)

DEFAULT = ("word_match", "baseline", "relations_word_match", "relations_baseline")
BARS = {"tune": 0.90, "valid_u": 0.93}
"""Of the selection's share of the oracle."""
WORDING_BARS = {"new_frames": 0.9, "unseen_words": 0.75}
"""Of the share of valid_u's J&F that remains in another wording."""
RELATIONS, BASELINE = "relations_", "relations_baseline"
RELATIONS_BAR = 15
"""Points of J&F on valid_u above the baseline, for sentences about relations."""
ANSWERS = ("selection", "oracle", "best_track", "selection_where_other_text", "other_text")

Evaluation = dict[str, Any]


def main() -> None:
    """Make the missing runs, and print the tables."""
    parser = argparse.ArgumentParser(description="J&F of selectors over seeds")
    parser.add_argument("selectors", nargs="*", help=f"of {', '.join(RECIPES)}")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--processes", type=int, default=2, help="runs at the same time")
    parser.add_argument("--out", type=Path, default=Path("outputs/results"))
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
        trainings = {name: [job.result() for job in of_name] for name, of_name in jobs.items()}
        found = {name: _evaluate(name, RECIPES[name], options, pool) for name in names}
    print()
    for name, of_name in trainings.items():
        minutes = [f"{each.seconds / 60:.1f}" if each.seconds else "resumed" for each in of_name]
        print(f"minutes {name}", *minutes)
    for of_relations in (False, True):
        rows = {name: found[name] for name in names if name.startswith(RELATIONS) == of_relations}
        _print_summary(rows)
    for name in (each for each in names if not each.startswith(RELATIONS)):
        _print_ratios(name, found[name])
    if BASELINE in found:
        baseline = _mean_jf(found[BASELINE]["valid_u"])
        for name in (each for each in names if each.startswith(RELATIONS) and each != BASELINE):
            points = 100 * (_mean_jf(found[name]["valid_u"]) - baseline)
            print(f"points {name}_above_baseline {points:.1f} bar {RELATIONS_BAR}")


def _train(selector: str, seed: int, options: argparse.Namespace) -> Training:
    folder = options.out / selector / f"seed_{seed}"
    return train_once(folder, *RECIPES[selector].words, f"seed={seed}", *options.overrides)


def _evaluate(
    selector: str, recipe: Recipe, options: argparse.Namespace, pool: ThreadPoolExecutor
) -> dict[str, list[Evaluation]]:
    """Print the tables of a trained selector, and return its evaluations by split."""
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
    found = {split: [job.result() for job in of_split] for split, of_split in jobs.items()}
    print(f"\n{selector}: threshold {threshold:g} chosen on {first}, seeds {options.seeds}")
    for split, evaluations in found.items():
        _print_table(f"{recipe.dataset}/{split}", evaluations)
    return found


def _print_summary(found: dict[str, dict[str, list[Evaluation]]]) -> None:
    """Print one row for each selector: J&F of the selection on tune, on valid_u, and by kind."""
    if len(found) < 2:
        return
    kinds = [*next(iter(found.values()))["valid_u"][0]["by_kind"]]
    print("\n| selector | tune | valid_u |", " | ".join(kinds), "|")
    print("|---|---|---|" + "---|" * len(kinds))
    for name, by_split in found.items():
        cells = [[_jf(e, "selection") for e in by_split[split]] for split in ("tune", "valid_u")]
        for kind in kinds:
            means = [e["by_kind"][kind]["selection"]["J&F"] for e in by_split["valid_u"]]
            cells.append(means)
        print(f"| {name} |", " | ".join(map(figure, cells)), "|")


def _print_ratios(selector: str, found: dict[str, list[Evaluation]]) -> None:
    for split, bar in BARS.items():
        ratio = statistics.mean(_jf(e, "selection") / _jf(e, "oracle") for e in found[split])
        print(f"ratio {selector}_{split}_over_oracle {ratio:.3f} bar {bar:.3f}")
    for wording, bar in WORDING_BARS.items():
        shares = [
            _mean_of_wording(other, wording) / _jf(e, "selection")
            for e, other in zip(found["valid_u"], found["paraphrase"], strict=True)
        ]
        share = statistics.mean(shares)
        print(f"ratio {selector}_{wording}_over_valid_u {share:.3f} bar {bar:.3f}")


def _print_table(split: str, evaluations: Sequence[Evaluation]) -> None:
    first = evaluations[0]
    print(f"\n{split}, {first['num_videos']} videos, J&F in percent\n")
    print(
        "| expressions | number | " + " | ".join(name.replace("_", " ") for name in ANSWERS) + " |"
    )
    print("|---|---|" + "---|" * len(ANSWERS))
    _print_row("all", evaluations, lambda e: e["results"])
    for kind in first["by_kind"]:
        _print_row(kind, evaluations, lambda e, kind=kind: e["by_kind"][kind])


def _print_row(
    label: str, evaluations: Sequence[Evaluation], get: Callable[[Evaluation], Evaluation]
) -> None:
    cells = []
    for name in ANSWERS:
        values = [get(e).get(name, {}).get("J&F") for e in evaluations]
        cells.append("-" if None in values else figure(values))
    number = get(evaluations[0])["selection"]["num_expressions"]
    print(f"| {label} | {number} | " + " | ".join(cells) + " |")


def _mean_jf(evaluations: Sequence[Evaluation]) -> float:
    """Return the mean J&F of the selection over seeds."""
    return statistics.mean(_jf(each, "selection") for each in evaluations)


def _jf(evaluation: Evaluation, answer: str) -> float:
    return float(evaluation["results"][answer]["J&F"])


def _mean_of_wording(evaluation: Evaluation, wording: str) -> float:
    """Return the mean J&F of the selection over all kinds that end with a wording."""
    rows = [
        row["selection"] for kind, row in evaluation["by_kind"].items() if kind.endswith(wording)
    ]
    number = sum(row["num_expressions"] for row in rows)
    return float(sum(row["J&F"] * row["num_expressions"] for row in rows) / number)


if __name__ == "__main__":
    main()
