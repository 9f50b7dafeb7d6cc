"""The charts of a report, each also a file of its own, as PNG and SVG."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sola.errors import UserError
from sola.evaluation.measure import ORACLE, SELECTION
from sola.visualization.report.charts import Bar, BarChart, Chart, Histogram, LineChart, Series

METRICS_FILE = "metrics.csv"
NUM_BINS = 20
JF = "J&F"


def charts_of(
    evaluation: Mapping[str, Any],
    right: NDArray[np.float32],
    wrong: NDArray[np.float32],
    metrics: Mapping[str, tuple[list[float], list[float]]],
) -> dict[str, Chart]:
    """The charts that can be drawn, by the name of their file.

    Args:
        evaluation: what evaluation.json holds.
        right: scores of tracks for expressions that they answer.
        wrong: those for expressions that they do not.
        metrics: as ``read_metrics`` has it.
    """
    charts: dict[str, Chart] = {"threshold_curve": _threshold_curve(evaluation)}
    if right.size + wrong.size:
        charts["score_distribution"] = _score_distribution(right, wrong, evaluation["threshold"])
    if set(evaluation["by_kind"]) - {""}:
        bars = _bars(evaluation["by_kind"])
        charts["by_kind"] = BarChart("J&F (%) by kind of expression", bars, _LEGEND)
    groups = {name: m for name, m in evaluation["by_group"].items() if len(m) > 1}
    if groups:
        rows = [bar for name, means in groups.items() for bar in (Bar(name), *_bars(means))]
        charts["by_group"] = BarChart("J&F (%) by group of expressions", rows, _LEGEND)
    return charts | _training_curves(metrics)


def read_metrics(path: Path) -> dict[str, tuple[list[float], list[float]]]:
    """What a training logged with logger=csv.

    Args:
        path: its metrics.csv; one that is not there has nothing.

    Returns:
        By the name of a column: epochs, and the last value of each; columns without any are left
        out.

    Raises:
        UserError: if the file is no such table.
    """
    if not path.is_file():
        return {}
    found: dict[str, dict[float, float]] = {}
    try:
        with path.open(newline="") as file:
            for row in csv.DictReader(file):
                for name, value in row.items():
                    if row["epoch"] and value and name not in ("epoch", "step"):
                        found.setdefault(name, {})[float(row["epoch"])] = float(value)
    except (KeyError, TypeError, ValueError, csv.Error) as error:
        raise UserError(
            f"{path}: not a table of metrics by epoch ({error}). Move it away for a report without "
            "training curves."
        ) from error
    return {name: (list(values), list(values.values())) for name, values in found.items()}


_LEGEND = (("selection, 95 % interval", "selection"), ("oracle", "oracle"))


def _threshold_curve(evaluation: Mapping[str, Any]) -> Chart:
    curve, results = evaluation["curve"], evaluation["results"]
    thresholds = [point["threshold"] for point in curve]
    series = [
        Series("selection", "selection", thresholds, [100 * point[JF] for point in curve]),
        Series("oracle", "oracle", (0, 1), [100 * results[ORACLE][JF]] * 2),
    ]
    threshold, best = evaluation["threshold"], evaluation["best_threshold"]["threshold"]
    marks = [(threshold, f"used: {threshold:g}")]
    if best != threshold:
        marks.append((best, f"best here: {best:g}"))
    return LineChart(
        "J&F (%) by threshold", "threshold of the score", series, marks, from_zero=True
    )


def _score_distribution(
    right: NDArray[np.float32], wrong: NDArray[np.float32], threshold: float
) -> Chart:
    shares = []
    for name, scores in (("right", right), ("wrong", wrong)):
        counts, _ = np.histogram(scores, NUM_BINS, (0, 1))
        percent = 100 * counts / max(len(scores), 1)
        shares.append((f"{name} tracks ({len(scores)})", name, percent.tolist()))
    return Histogram(
        "Scores of right and of wrong tracks (% of each)",
        "score",
        shares,
        [(threshold, f"threshold: {threshold:g}")],
    )


def _bars(means: Mapping[str, Any]) -> list[Bar]:
    bars = []
    for label, by_answer in means.items():
        mean = by_answer[SELECTION]
        ends = mean["interval"]
        bars.append(
            Bar(
                label or "(none)",
                100 * mean[JF],
                None if ends is None else (100 * ends[JF][0], 100 * ends[JF][1]),
                100 * by_answer[ORACLE][JF],
                f"{100 * mean[JF]:.1f}  (n = {mean['num_expressions']})",
            )
        )
    return bars


def _training_curves(metrics: Mapping[str, tuple[list[float], list[float]]]) -> dict[str, Chart]:
    lines = {
        "training_loss": (
            "Loss by epoch",
            (("train/loss_epoch", "train", "selection"), ("valid/loss", "valid", "oracle")),
        ),
        "training_j_and_f": (
            "J&F (%) by epoch, on the validation split",
            (
                ("valid/J&F", "at the threshold", "selection"),
                ("valid/J&F_best", "at the best threshold", "ink"),
                ("valid/oracle_J&F", "oracle", "oracle"),
            ),
        ),
    }
    charts: dict[str, Chart] = {}
    for file, (title, columns) in lines.items():
        series = _series(metrics, columns)
        if series:
            charts[file] = LineChart(title, "epoch", series, is_whole=True)
    return charts


def _series(
    metrics: Mapping[str, tuple[list[float], list[float]]],
    columns: Sequence[tuple[str, str, str]],
) -> list[Series]:
    found = [(metrics[key], JF in key, name, role) for key, name, role in columns if key in metrics]
    return [
        Series(name, role, epochs, [100 * value for value in values] if is_share else values)
        for (epochs, values), is_share, name, role in found
    ]
