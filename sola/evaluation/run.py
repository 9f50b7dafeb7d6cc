"""Run evaluate.py: score, select, measure, compare, and name every number."""

import logging
from pathlib import Path
from typing import Any

from sola.config.entry_points import EvaluateConfig, ScoringConfig
from sola.datasets import Split
from sola.errors import UserError
from sola.evaluation import measure
from sola.evaluation.predictions import Predictions, open_predictions
from sola.evaluation.protocols import official_numbers
from sola.evaluation.scores import ScoredSplit, choose_other_texts, score_split, versions
from sola.evaluation.summary import list_results, summarise
from sola.evaluation.table import official_line, print_tables
from sola.evaluation.tracks import TrackSources
from sola.files import write_json
from sola.shards import ShardReader, tracks_dir

log = logging.getLogger(__name__)

EVALUATION_FILE = "evaluation.json"


def run_evaluation(config: EvaluateConfig) -> dict[str, Any]:
    """Measure a selector, or the masks of any system; returns the content of evaluation.json."""
    return evaluate(config)[1]


def evaluate(config: EvaluateConfig) -> tuple[ScoredSplit, dict[str, Any]]:
    """Measure a selector, or the masks of any system, on a split with ground truth.

    Writes evaluation.json and, of a selector, scores.json into the output folder and prints the
    tables.

    Args:
        config: see ``EvaluateConfig``.

    Returns:
        What was measured, and the content of evaluation.json; numbers in [0, 1].

    Raises:
        UserError: if the split has no ground truth, or something is missing or does not fit.
    """
    dataset = open_split(config)
    measure.check_ground_truth(dataset)
    if config.predictions is None:
        others = choose_other_texts(dataset.expressions, config.seed)
        split = score_split(config, dataset, open_sources(config), others)
        chosen = {"threshold": config.threshold, "seed": config.seed}
    else:
        split, chosen = _open_predictions(config, dataset), {}
    masks = split.sources if isinstance(split.sources, Predictions) else None
    results = measure.evaluate_expressions(
        split,
        threshold=config.threshold,
        metrics=config.metric,
        has_bounds=masks is None,
        num_workers=config.num_workers,
    )
    if masks is not None:
        results = masks.count_missing_as_zero(results)
    protocol = official_numbers(split, results, threshold=config.threshold)
    evaluation = {
        **split.provenance,
        **chosen,
        "protocol": protocol,
        "num_tracks": sum(len(tracks) for tracks in split.scores.tracks.values()),
        "num_expressions": len(results),
        "num_videos": len({result.expression.video_id for result in results}),
        **({"metrics": measure.describe_metrics(config.metric)} if config.metric else {}),
        **summarise(results),
        "expressions": list_results(results),
    }
    path = Path(config.paths.output_dir) / EVALUATION_FILE
    write_json(path, evaluation)
    print_tables(evaluation)
    if masks is not None:
        log.info(
            "%d expressions (%d missing ones count 0): %s",
            *(len(results), len(masks.missing), official_line(protocol)),
        )
    log.info("%s: all numbers", path)
    return split, evaluation


def open_split(config: ScoringConfig) -> Split:
    """Open the split that a configuration names.

    Raises:
        UserError: if its files are missing, or it has no expressions.
    """
    dataset = config.dataset.open(config.split)
    if not dataset.expressions:
        raise UserError(f"{dataset.split_dir}: no expressions. Choose another split.")
    return dataset


def open_sources(config: ScoringConfig) -> TrackSources:
    """Open the tracks that a configuration names.

    Raises:
        UserError: if some are missing, or were made by different trackers.
    """
    names = (Path(config.paths.data_dir), config.dataset.name, config.split)
    folders = [tracks_dir(*names, source, config.tracker.name) for source in config.sources]
    return TrackSources([ShardReader(folder) for folder in folders])


def _open_predictions(config: EvaluateConfig, dataset: Split) -> ScoredSplit:
    path, top_dir = Path(config.predictions or ""), config.dataset.submission_top_dir
    masks = open_predictions(path, dataset, top_dir, allow_missing=config.missing == "zero")
    provenance = {
        "dataset": dataset.name,
        "split": dataset.split,
        "predictions": str(path),
        "num_missing_as_zero": len(masks.missing),
        "versions": versions(),
    }
    return ScoredSplit(dataset, masks, masks.sure_scores(), provenance)
