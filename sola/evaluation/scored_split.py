"""From a configuration to tracks, selector and scores, for evaluate.py and predict.py."""

import importlib.metadata
import logging
import platform
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import torch

from sola.config.device import pick_device
from sola.config.entry_points import ScoringConfig
from sola.config.targets import check_kind
from sola.datasets import Split
from sola.errors import UserError
from sola.evaluation.kept import KeptEvaluation
from sola.evaluation.scorers import Scorer, SelectorScorer
from sola.evaluation.scores import OtherTexts, Scores, score_expressions
from sola.evaluation.tracks import TrackReader, TrackSources, check_has_tokens
from sola.files import plain, sha256_of_code, sha256_of_file
from sola.selector import Selector
from sola.selector.checkpoint import load_selector, weights_file
from sola.shards import ShardReader, fingerprint, tracks_dir
from sola.text import TextTokens

log = logging.getLogger(__name__)

PACKAGES = ("sola-rvos", "torch", "numpy", "pycocotools", "opencv-python-headless", "transformers")
SCORES_FILE = "scores.json"


@dataclass(frozen=True)
class ScoredSplit:
    """A split, its tracks, and the scores of a selector."""

    dataset: Split
    sources: TrackSources
    scores: Scores
    provenance: dict[str, Any]
    """Names of every number made from it: data set, split, checkpoint, tracks, versions."""
    kept: KeptEvaluation | None = None
    """Where what is measured is kept for further runs; None: nowhere."""


def score_split(
    config: ScoringConfig,
    dataset: Split,
    sources: TrackSources,
    others: OtherTexts | None = None,
    *,
    keep: bool = False,
) -> ScoredSplit:
    """Scores every expression of a split and saves the scores in the output folder.

    Args:
        config: which selector and text encoder.
        dataset: the split.
        sources: its tracks.
        others: whose text to give to an expression's tracks as well, for comparison.
        keep: keep the scores in the data folder too, and take them from there if they are known.

    Returns:
        All that is needed to select, measure and draw.

    Raises:
        UserError: if the checkpoint is missing, or does not belong to the tracks.
    """
    if config.num_threads:
        torch.set_num_threads(config.num_threads)
    sources.check_complete(dataset)
    scorer, named = open_scorer(config, sources)
    provenance = {
        "dataset": dataset.name,
        "split": dataset.split,
        **named,
        "tracks": [_describe(reader) for reader in sources.readers],
        "versions": versions(),
    }
    kept, scores = None, None
    if keep:
        root = Path(config.paths.data_dir) / "cache" / dataset.name / dataset.split / "evaluations"
        kept = KeptEvaluation(root, _key(provenance, scorer, dataset, sources, others))
        scores = kept.read_scores()
    if kept is not None and scores is not None:
        log.info("%s: scores of an earlier run, taken from there", kept.scores_path)
        scores = replace(scores, provenance=provenance)
    else:
        scorer.prepare(dataset.expressions)
        scores = score_expressions(
            scorer,
            sources,
            dataset.expressions,
            videos=dataset.videos,
            others=others,
            provenance=provenance,
        )
        if kept is not None:
            kept.write_scores(scores)
    scores_path = Path(config.paths.output_dir) / SCORES_FILE
    scores.save(scores_path)
    log.info("%s: scores of %d expressions", scores_path, len(scores.by_expression))
    return ScoredSplit(dataset, sources, scores, provenance, kept)


def open_split(config: ScoringConfig) -> Split:
    """The split that a configuration asks for.

    Raises:
        UserError: if its files are not there, or it has no expressions.
    """
    dataset = config.dataset.open(config.split)
    if not dataset.expressions:
        raise UserError(
            f"{dataset.split_dir}: split {dataset.split} has no expressions to answer. Choose "
            "another split, or get its meta_expressions.json again."
        )
    return dataset


def open_sources(config: ScoringConfig) -> TrackSources:
    """The tracks that a configuration asks for.

    Raises:
        UserError: if some are missing, or were made by different trackers.
    """
    readers = [
        ShardReader(
            tracks_dir(
                Path(config.paths.data_dir),
                config.dataset.name,
                config.split,
                source,
                config.tracker.name,
            )
        )
        for source in config.sources
    ]
    return TrackSources(readers)


def open_scorer(config: ScoringConfig, sources: TrackSources) -> tuple[Scorer, dict[str, Any]]:
    """What scores the tracks: the selector of ckpt_path, or a scorer that needs no training.

    Returns:
        The scorer, and the names of it that go with every number.

    Raises:
        UserError: if the checkpoint is missing, or does not belong to the tracks.
    """
    if config.ckpt_path is None:
        assert config.selector is not None, "checked before"
        scorer = cast(Any, config.selector())
        check_kind(scorer, Scorer, "selector")
        return scorer, {"scorer": plain(scorer.describe())}
    tracks = sources.readers[0]
    selector, training = open_selector(config, tracks.index, str(tracks.tracks_dir))
    device = pick_device(str(config.trainer.node.get("accelerator", "auto")))
    text = TextTokens(Path(config.paths.data_dir) / "text", config.text_encoder)
    sha256 = sha256_of_file(weights_file(Path(config.ckpt_path)))
    description = {
        "checkpoint_sha256": sha256,
        "selector": plain(selector.description),
        "device": device.type,
        "text_encoder": text.identity,
    }
    checkpoint = {"path": config.ckpt_path, "sha256": sha256, "training": plain(training)}
    names = {"checkpoint": checkpoint, "text_encoder": config.text_encoder.name}
    return SelectorScorer(selector.to(device), text.tokens, description), names


def open_selector(
    config: ScoringConfig, tracks: Mapping[str, Any], where: str
) -> tuple[Selector, dict[str, Any]]:
    """The selector that a configuration asks for, and where it comes from.

    Args:
        config: which checkpoint and text encoder.
        tracks: token_dim and checkpoint_sha256 of the tracks that it is to choose among.
        where: names these in messages.

    Raises:
        UserError: if the checkpoint is missing, or does not belong to tracks or text encoder.
    """
    selector, training = load_selector(Path(config.ckpt_path or ""), config.own_selectors)
    _check_widths(selector, tracks, where, config)
    _check_origin(training, tracks, where, config)
    return selector, training


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that numbers depend on; "" where not installed."""
    found = {"python": platform.python_version()}
    installed = {
        name: importlib.metadata.version(name) if _is_installed(name) else "" for name in PACKAGES
    }
    return found | installed


def _key(
    provenance: Mapping[str, Any],
    scorer: Scorer,
    dataset: Split,
    sources: TrackSources,
    others: OtherTexts | None,
) -> dict[str, Any]:
    """Everything that the scores of a split depend on."""
    given = {name: other.expression_id for name, other in (others or {}).items()}
    asked = [
        [e.video_id, e.expression_id, e.text, given.get((e.video_id, e.expression_id))]
        for e in dataset.expressions
    ]
    code = (type(scorer), type(getattr(scorer, "selector", scorer)))
    return {
        **{name: provenance[name] for name in ("dataset", "split", "versions")},
        **plain(scorer.describe()),
        "code": [sha256_of_code(each) for each in code],
        "expressions": asked,
        "tracks": [fingerprint(reader.tracks_dir) for reader in sources.readers],
    }


def _is_installed(package: str) -> bool:
    return bool(list(importlib.metadata.distributions(name=package)))


def _describe(reader: TrackReader) -> dict[str, Any]:
    names = ("source", "tracker", "checkpoint_sha256", "detector_sha256", "format_version")
    own = {k: v for k, v in reader.index.items() if k.endswith("_sha256") and isinstance(v, str)}
    return {"dir": str(reader.tracks_dir)} | {name: reader.index.get(name) for name in names} | own


def _check_widths(
    selector: Selector,
    tracks: Mapping[str, Any],
    where: str,
    config: ScoringConfig,
) -> None:
    check_has_tokens(tracks["token_dim"], where)
    token_dim = selector.kwargs.get("token_dim", tracks["token_dim"])
    text_dim = selector.kwargs.get("text_dim", config.text_encoder.dim)
    if token_dim != tracks["token_dim"]:
        raise UserError(
            f"{config.ckpt_path}: the selector takes object tokens of width {token_dim}, those of "
            f"{where} have {tracks['token_dim']}. Choose the tracker that it was trained with."
        )
    if text_dim != config.text_encoder.dim:
        raise UserError(
            f"{config.ckpt_path}: the selector takes text tokens of width {text_dim}, those of "
            f"text_encoder={config.text_encoder.name} have {config.text_encoder.dim}. Choose the "
            "text encoder that it was trained with."
        )


def _check_origin(
    training: dict[str, Any],
    tracks: Mapping[str, Any],
    where: str,
    config: ScoringConfig,
) -> None:
    """Refuses tokens of other networks than those of the training, where these are known."""
    trained_on, found = training.get("checkpoint_sha256"), tracks.get("checkpoint_sha256")
    if trained_on not in (None, found):
        raise UserError(
            f"{config.ckpt_path}: trained on object tokens of tracker {training.get('tracker')} "
            f"(sha256 {trained_on}), {where} holds those of another (sha256 {found}). "
            "Tokens of different trackers do not mix: take the tracker of the training."
        )
    encoder = training.get("text_encoder")
    if encoder not in (None, config.text_encoder.name):
        raise UserError(
            f"{config.ckpt_path}: trained on text_encoder={encoder}, but this run has "
            f"text_encoder={config.text_encoder.name}. Choose that of the training."
        )
