"""What evaluate.py does: score, select, measure, compare, and put a name to every number."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sola.config.entry_points import EvaluateConfig
from sola.evaluation.official import official_numbers
from sola.evaluation.other_text import choose_other_texts
from sola.evaluation.own_metrics import Measure, add_own_metrics, describe_metrics
from sola.evaluation.protocol import check_ground_truth, evaluate_expressions
from sola.evaluation.scored_split import (
    SCORES_FILE,
    ScoredSplit,
    open_sources,
    open_split,
    score_split,
)
from sola.evaluation.summary import list_results, summarise
from sola.evaluation.table import print_tables
from sola.files import write_json

log = logging.getLogger(__name__)

EVALUATION_FILE = "evaluation.json"


def run_evaluation(config: EvaluateConfig) -> dict[str, Any]:
    """Measures a selector on a split with ground truth.

    Writes evaluation.json and scores.json into the output folder and prints the tables.

    Args:
        config: see ``EvaluateConfig``.

    Returns:
        What evaluation.json holds; shares of 1, not percent.

    Raises:
        ValueError: if the split has no ground truth, or something is missing or does not fit.
    """
    dataset = open_split(config)
    check_ground_truth(dataset)
    others = choose_other_texts(dataset.expressions, config.seed)
    split = score_split(config, dataset, open_sources(config), others, keep=True)
    evaluation = evaluate_split(
        split,
        threshold=config.threshold,
        seed=config.seed,
        num_workers=config.num_workers,
        metrics=config.metric,
    )
    path = Path(config.paths.output_dir) / EVALUATION_FILE
    write_json(path, {**evaluation, "scores": SCORES_FILE})
    print_tables(evaluation)
    log.info("%s: all numbers, with the selected tracks of every expression", path)
    return evaluation


def evaluate_split(
    split: ScoredSplit,
    *,
    threshold: float,
    seed: int,
    num_workers: int = 0,
    metrics: Mapping[str, Measure] | None = None,
) -> dict[str, Any]:
    """Every number of a scored split, and their names.

    Args:
        split: scores of all its expressions, also under the other texts of this seed.
        threshold: a track is selected when its score is above this.
        seed: of the choice of other texts.
        num_workers: further processes that measure, which changes time alone.
        metrics: further numbers of every answer, see ``add_own_metrics``.

    Returns:
        Ready for JSON: the provenance, the means of ``summarise``, one entry an expression.

    Raises:
        ValueError: if the split has no ground truth, or tracks and ground truth do not fit.
    """
    results = evaluate_expressions(
        split.dataset,
        split.sources,
        split.scores,
        threshold=threshold,
        seed=seed if split.scores.has_other_texts else None,
        num_workers=num_workers,
        kept=split.kept,
    )
    protocol = official_numbers(
        split.dataset, split.sources, split.scores, results, threshold=threshold
    )
    results = add_own_metrics(
        results, split.dataset, split.sources, metrics or {}, num_workers=num_workers
    )
    num_tracks = sum(len(of_video) for of_video in split.scores.tracks.values())
    is_empty = [not scores.tracks for scores in split.scores.by_expression.values()]
    return {
        **split.provenance,
        "protocol": protocol,
        "threshold": threshold,
        "seed": seed,
        **({"metrics": describe_metrics(metrics)} if metrics else {}),
        "num_expressions": len(results),
        "num_videos": len(split.scores.tracks),
        "num_tracks": num_tracks,
        "num_expressions_without_tracks": sum(is_empty),
        **summarise(results),
        "expressions": list_results(results),
    }
