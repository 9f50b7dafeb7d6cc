"""Run evaluate.py: score tracks, select, measure, and write evaluation.json."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import torch

from sola.config.device import pick_device
from sola.config.entry_points import EvaluateConfig, ScoringConfig
from sola.config.targets import check_kind
from sola.datasets import Split
from sola.errors import UserError
from sola.evaluation import measure
from sola.evaluation.predictions import Predictions, open_predictions
from sola.evaluation.protocols import official_numbers
from sola.evaluation.scorers import Scorer, SelectorScorer
from sola.evaluation.scores import (
    SCORES_FILE,
    OtherTexts,
    ScoredSplit,
    choose_other_texts,
    describe_reader,
    score_expressions,
    versions,
)
from sola.evaluation.summary import list_results, summarise
from sola.evaluation.table import official_line, print_tables
from sola.evaluation.tracks import TrackSources, check_has_tokens
from sola.files import plain, sha256_of_file, write_json
from sola.selector import Selector
from sola.selector.checkpoint import load_selector, weights_file
from sola.shards import ShardReader, tracks_dir
from sola.text import TextTokens

log = logging.getLogger(__name__)

EVALUATION_FILE = "evaluation.json"


def run_evaluation(config: EvaluateConfig) -> tuple[ScoredSplit, dict[str, Any]]:
    """Measure a selector, or the masks of any system, on a split with ground truth.

    Writes evaluation.json and, for a selector, scores.json into the output folder, and prints the
    tables.

    Args:
        config: see ``EvaluateConfig``.

    Returns:
        The split that was measured, and the content of evaluation.json, with numbers in [0, 1].

    Raises:
        UserError: if the split has no ground truth, or a file is missing or does not match.
    """
    dataset = open_split(config)
    measure.check_ground_truth(dataset)
    if config.predictions is None:
        others = choose_other_texts(dataset.expressions, config.seed)
        split = score_split(config, dataset, open_sources(config), others)
        chosen = {"threshold": split.threshold, "seed": config.seed}
    else:
        split, chosen = _open_predictions(config, dataset), {}
    masks = split.sources if isinstance(split.sources, Predictions) else None
    results = measure.evaluate_expressions(
        split,
        threshold=split.threshold,
        metrics=config.metric,
        has_bounds=masks is None,
        num_workers=config.num_workers,
    )
    if masks is not None:
        results = masks.count_missing_as_zero(results)
    protocol = official_numbers(split, results, threshold=split.threshold)
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
        UserError: if files of the split are missing, or it has no expressions.
    """
    dataset = config.dataset.open(config.split)
    if not dataset.expressions:
        raise UserError(f"{dataset.split_dir}: no expressions. Choose another split.")
    return dataset


def open_sources(config: ScoringConfig) -> TrackSources:
    """Open the tracks that a configuration names.

    Raises:
        UserError: if tracks are missing, or were made by different trackers.
    """
    names = (Path(config.paths.data_dir), config.dataset.name, config.split)
    folders = [tracks_dir(*names, source, config.tracker.name) for source in config.sources]
    return TrackSources([ShardReader(folder) for folder in folders])


def score_split(
    config: ScoringConfig, dataset: Split, sources: TrackSources, others: OtherTexts | None = None
) -> ScoredSplit:
    """Score every expression of a split, and write scores.json into the output folder.

    Args:
        config: names the selector and the text encoder.
        dataset: the split.
        sources: tracks of the split.
        others: for each expression another one, whose text is scored for its tracks as well.

    Raises:
        UserError: if the checkpoint is missing, or does not match the tracks.
    """
    if config.num_threads:
        torch.set_num_threads(config.num_threads)
    sources.check_complete(dataset)
    scorer: Scorer
    if config.ckpt_path is None:
        assert config.selector is not None, "checked before"
        scorer = cast(Any, config.selector())
        check_kind(scorer, Scorer, "selector")
        names: dict[str, Any] = {"scorer": plain(scorer.describe())}
    else:
        device = pick_device(str(config.trainer.node.get("accelerator", "auto")))
        first, path = sources.readers[0], Path(config.ckpt_path)
        selector, training = load_trained(config, first.index, str(first.tracks_dir))
        text = TextTokens(Path(config.paths.data_dir) / "text", config.text_encoder, device.type)
        threshold = float(training.get("threshold", Scorer.threshold))
        scorer = SelectorScorer(selector.to(device), text.tokens, threshold)
        sha256 = sha256_of_file(weights_file(path))
        named = {"path": str(path), "sha256": sha256, "training": plain(training)}
        names = {"checkpoint": named, "text_encoder": config.text_encoder.name}
    provenance = {
        "dataset": dataset.name,
        "split": dataset.split,
        **names,
        "tracks": [describe_reader(reader) for reader in sources.readers],
        "versions": versions(),
    }
    scorer.prepare(dataset.expressions)
    scores = score_expressions(
        scorer, sources, dataset.expressions, videos=dataset.videos, others=others
    )
    threshold = scorer.threshold if config.threshold is None else config.threshold
    split = ScoredSplit(dataset, sources, scores, provenance, threshold)
    path = Path(config.paths.output_dir) / SCORES_FILE
    split.save_scores(path)
    log.info("%s: scores of %d expressions", path, len(dataset.expressions))
    return split


def load_trained(
    config: ScoringConfig, tracks: Mapping[str, Any], where: str
) -> tuple[Selector, dict[str, Any]]:
    """Load the selector of ``ckpt_path`` and the record of its training.

    Args:
        config: names the checkpoint and the text encoder, which must be that of the training.
        tracks: token_dim and checkpoint_sha256 of the tracks to score.
        where: name of the tracks in messages.

    Raises:
        UserError: if the checkpoint is missing or damaged, or does not match the tracks or the text
            encoder.
    """
    path, encoder, key = Path(config.ckpt_path or ""), config.text_encoder, "checkpoint_sha256"
    selector, training = load_selector(path, config.own_selectors)
    check_has_tokens(tracks["token_dim"], where)
    for named, what, trained, found in (
        (where, "token_dim", selector.kwargs.get("token_dim"), tracks["token_dim"]),
        (where, key, training.get(key), tracks.get(key)),
        (f"text_encoder={encoder.name}", "text_dim", selector.kwargs.get("text_dim"), encoder.dim),
        ("this run", "text_encoder", training.get("text_encoder"), encoder.name),
    ):
        if trained not in (None, found):
            raise UserError(
                f"{path}: trained with {what}={trained}, {named} has {what}={found}. "
                "Choose the tracker and the text encoder of its training."
            )
    return selector, training


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
