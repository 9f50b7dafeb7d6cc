"""Quality of the selection over several seeds, from the evaluations of their runs.

    python benchmarks/selection.py                       # outputs/results/seed_*/valid_u
    python benchmarks/selection.py RUN_DIR [RUN_DIR ...]

``make results`` makes the runs. Prints a table of J&F in percent, mean and standard deviation over
the seeds, and one line per figure, ``ratio <name> <value> bar <value>``.
"""

import argparse
import json
import statistics
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

Evaluation = dict[str, Any]

DEFAULT_RUNS = "outputs/results/seed_*/valid_u"
ANSWERS = ("selection", "oracle", "selection_where_other_text", "other_text")


def main() -> None:
    """Reads the evaluations that the command line names, or those of make results."""
    parser = argparse.ArgumentParser(description="J&F over seeds, from evaluation.json files")
    parser.add_argument("run_dirs", nargs="*", type=Path, help="folders of evaluate.py's runs")
    run_dirs = parser.parse_args().run_dirs or sorted(Path().glob(DEFAULT_RUNS))
    if not run_dirs:
        print(f"no evaluation in {DEFAULT_RUNS}: run make results first (two hours on 2 cores)")
        return
    evaluations = [json.loads((path / "evaluation.json").read_text()) for path in run_dirs]
    _print_tables(evaluations)
    ratio = _over_seeds(evaluations, lambda e: _jf(e, "selection") / _jf(e, "oracle"))
    gap = _over_seeds(
        evaluations,
        lambda e: 100 * (_jf(e, "selection_where_other_text") - _jf(e, "other_text")),
    )
    print(f"ratio selection_over_oracle {ratio[0]:.3f} bar 0.800")
    print(f"ratio points_above_other_text {gap[0]:.1f} bar 20.0")


def _print_tables(evaluations: Sequence[Evaluation]) -> None:
    first = evaluations[0]
    print(
        f"{first['dataset']}/{first['split']}, threshold {first['threshold']:g}, "
        f"{len(evaluations)} seeds, {first['num_expressions']} expressions of "
        f"{first['num_videos']} videos; J&F in percent, mean (standard deviation)\n"
    )
    print(
        "| expressions | number | " + " | ".join(name.replace("_", " ") for name in ANSWERS) + " |"
    )
    print("|---|---|" + "---|" * len(ANSWERS))
    _print_row("all", evaluations, lambda e: e["results"])
    for kind in first["by_kind"]:
        _print_row(kind, evaluations, lambda e, kind=kind: e["by_kind"][kind])
    print()


def _print_row(
    label: str, evaluations: Sequence[Evaluation], get: Callable[[Evaluation], Evaluation]
) -> None:
    cells = []
    for name in ANSWERS:
        values = [get(evaluation)[name]["J&F"] for evaluation in evaluations]
        if any(value is None for value in values):
            cells.append("-")
            continue
        mean, spread = _mean_and_spread([100 * value for value in values])
        cells.append(f"{mean:.1f} ({spread:.1f})")
    number = get(evaluations[0])["selection"]["num_expressions"]
    print(f"| {label} | {number} | " + " | ".join(cells) + " |")


def _jf(evaluation: Evaluation, answer: str) -> float:
    return float(evaluation["results"][answer]["J&F"])


def _over_seeds(
    evaluations: Sequence[Evaluation], get: Callable[[Evaluation], float]
) -> tuple[float, float]:
    return _mean_and_spread([get(evaluation) for evaluation in evaluations])


def _mean_and_spread(values: Sequence[float]) -> tuple[float, float]:
    return statistics.mean(values), statistics.stdev(values) if len(values) > 1 else 0.0


if __name__ == "__main__":
    main()
