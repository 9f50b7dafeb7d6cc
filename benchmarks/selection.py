"""Mean quality of selection over several seeds, from the evaluations of their runs.

    python benchmarks/selection.py                  # outputs/results/small_motion/seed_*/valid_u
    python benchmarks/selection.py RUN_DIR [RUN_DIR ...] [--baseline RUN_DIR ...]

``make results`` makes the runs. Prints a table of J&F in percent, mean and standard deviation over
the seeds, and one line per figure, ``ratio <name> <value> bar <value>``. Runs after --baseline,
such as those of selector=baseline, fill the last column; they must use the same split.
"""

import argparse
import json
import statistics
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

Evaluation = dict[str, Any]

DEFAULT_RUNS = "outputs/results/small_motion/seed_*/valid_u"
ANSWERS = ("selection", "oracle", "selection_where_other_text", "other_text")


def main() -> None:
    """Read the evaluations that the command line names, or those of make results."""
    parser = argparse.ArgumentParser(description="J&F over seeds, from evaluation.json files")
    parser.add_argument("run_dirs", nargs="*", type=Path, help="folders of evaluate.py's runs")
    parser.add_argument(
        "--baseline", nargs="+", type=Path, default=[], help="folders of another selector's runs"
    )
    options = parser.parse_args()
    run_dirs = options.run_dirs or sorted(Path().glob(DEFAULT_RUNS))
    if not run_dirs:
        print(f"no evaluation in {DEFAULT_RUNS}: run make results first (two hours on 2 cores)")
        return
    evaluations, baseline = _read(run_dirs), _read(options.baseline)
    _check_same_split([*evaluations, *baseline])
    _print_tables(evaluations, baseline)
    ratio = _over_seeds(evaluations, lambda e: _jf(e, "selection") / _jf(e, "oracle"))
    gap = _over_seeds(
        evaluations,
        lambda e: 100 * (_jf(e, "selection_where_other_text") - _jf(e, "other_text")),
    )
    print(f"ratio selection_over_oracle {ratio[0]:.3f} bar 0.800")
    print(f"ratio points_above_other_text {gap[0]:.1f} bar 20.0")
    if baseline:
        means = [
            _over_seeds(runs, lambda e: _jf(e, "selection"))[0] for runs in (evaluations, baseline)
        ]
        print(f"ratio points_above_baseline {100 * (means[0] - means[1]):.1f} bar 0.0")


def _read(run_dirs: Sequence[Path]) -> list[Evaluation]:
    return [json.loads((path / "evaluation.json").read_text()) for path in run_dirs]


def _check_same_split(evaluations: Sequence[Evaluation]) -> None:
    found = {
        f"{e['dataset']}/{e['split']}, {e['num_expressions']} expressions" for e in evaluations
    }
    if len(found) > 1:
        raise SystemExit(f"runs of different splits: {sorted(found)}. Name runs of one split.")


def _print_tables(evaluations: Sequence[Evaluation], baseline: Sequence[Evaluation]) -> None:
    first = evaluations[0]
    print(
        f"{first['dataset']}/{first['split']}, threshold {first['threshold']:g}, "
        f"{len(evaluations)} seeds, {first['num_expressions']} expressions of "
        f"{first['num_videos']} videos; J&F in percent, mean (standard deviation)\n"
    )
    columns = [name.replace("_", " ") for name in ANSWERS]
    columns += [f"baseline ({len(baseline)} seeds)"] if baseline else []
    print("| expressions | number | " + " | ".join(columns) + " |")
    print("|---|---|" + "---|" * len(columns))
    _print_row("all", evaluations, baseline, lambda e: e["results"])
    for kind in first["by_kind"]:
        _print_row(kind, evaluations, baseline, lambda e, kind=kind: e["by_kind"][kind])
    print()


def _print_row(
    label: str,
    evaluations: Sequence[Evaluation],
    baseline: Sequence[Evaluation],
    get: Callable[[Evaluation], Evaluation],
) -> None:
    cells = [_cell([get(e)[name]["J&F"] for e in evaluations]) for name in ANSWERS]
    if baseline:
        cells.append(_cell([get(e)["selection"]["J&F"] for e in baseline]))
    number = get(evaluations[0])["selection"]["num_expressions"]
    print(f"| {label} | {number} | " + " | ".join(cells) + " |")


def _cell(values: Sequence[float | None]) -> str:
    known = [100 * value for value in values if value is not None]
    if len(known) < len(values):
        return "-"
    mean, spread = _mean_and_spread(known)
    return f"{mean:.1f} ({spread:.1f})"


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
