"""What evaluate.py and predict.py share: from a configuration to tracks, selector and scores."""

import hashlib
import importlib.metadata
import logging
import math
import platform
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from sola.config.device import pick_device
from sola.config.schema import EvaluateConfig, PredictConfig
from sola.datasets import Split, open_dataset
from sola.evaluation.scores import OtherTexts, Scores, score_expressions
from sola.evaluation.tracks import TrackReader, TrackSources
from sola.selector import TrackSelector
from sola.selector.checkpoint import load_selector
from sola.shards import ShardReader, tracks_dir
from sola.text import TextTokens

log = logging.getLogger(__name__)

PACKAGES = ("sola", "torch", "numpy", "pycocotools", "opencv-python-headless", "transformers")
SCORES_FILE = "scores.json"


@dataclass(frozen=True)
class ScoredSplit:
    """A split, its tracks, and the scores of a selector."""

    dataset: Split
    sources: TrackSources
    scores: Scores
    provenance: dict[str, Any]
    """Names of every number made from it: data set, split, checkpoint, tracks, versions."""


def score_split(
    config: EvaluateConfig | PredictConfig, dataset: Split, others: OtherTexts | None = None
) -> ScoredSplit:
    """Scores every expression of a split and saves the scores in the output folder.

    Args:
        config: which tracks, selector and text encoder.
        dataset: the split.
        others: whose text to give to an expression's tracks as well, for comparison.

    Returns:
        All that is needed to select, measure and draw.

    Raises:
        ValueError: if tracks or checkpoint are missing, or do not belong together.
    """
    if config.trainer.num_threads:
        torch.set_num_threads(config.trainer.num_threads)
    device = pick_device(config.trainer.accelerator)
    sources = open_sources(config)
    selector, training = load_selector(Path(config.ckpt_path))
    _check_widths(selector, sources, config)
    _check_origin(training, sources, config)
    selector = selector.to(device)
    text = TextTokens(Path(config.paths.data_dir) / "text", config.text_encoder)
    text.prepare([expression.text for expression in dataset.expressions])
    provenance = {
        "dataset": dataset.name,
        "split": dataset.split,
        "checkpoint": {
            "path": config.ckpt_path,
            "sha256": _sha256(Path(config.ckpt_path)),
            "training": _plain(training),
        },
        "text_encoder": config.text_encoder.name,
        "tracks": [_describe(reader) for reader in sources.readers],
        "versions": versions(),
    }
    scores = score_expressions(
        selector, text.tokens, sources, dataset.expressions, others=others, provenance=provenance
    )
    scores_path = Path(config.paths.output_dir) / SCORES_FILE
    scores.save(scores_path)
    log.info("%s: scores of %d expressions", scores_path, len(scores.by_expression))
    return ScoredSplit(dataset, sources, scores, provenance)


def open_split(config: EvaluateConfig | PredictConfig) -> Split:
    """The split that a configuration asks for.

    Raises:
        ValueError: if its files are not there, or it has no expressions.
    """
    dataset = open_dataset(config.dataset, config.split)
    if not dataset.expressions:
        raise ValueError(
            f"split {dataset.split} of {dataset.name} has no expressions; check its "
            "meta_expressions.json"
        )
    return dataset


def open_sources(config: EvaluateConfig | PredictConfig) -> TrackSources:
    """The tracks that a configuration asks for.

    Raises:
        ValueError: if some are missing, or were made by different trackers.
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


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that numbers depend on; "" where not installed."""
    found = {"python": platform.python_version()}
    installed = {
        name: importlib.metadata.version(name) if _is_installed(name) else "" for name in PACKAGES
    }
    return found | installed


def _is_installed(package: str) -> bool:
    return bool(list(importlib.metadata.distributions(name=package)))


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _plain(value: Any) -> Any:
    """The same in JSON's types; a number that is not finite becomes None."""
    if isinstance(value, dict):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)


def _describe(reader: TrackReader) -> dict[str, Any]:
    names = ("source", "tracker", "checkpoint_sha256", "detector_sha256", "format_version")
    return {"dir": str(reader.tracks_dir)} | {name: reader.index.get(name) for name in names}


def _check_widths(
    selector: TrackSelector, sources: TrackSources, config: EvaluateConfig | PredictConfig
) -> None:
    token_dim, text_dim = selector.kwargs["token_dim"], selector.kwargs["text_dim"]
    if token_dim != sources.token_dim:
        raise ValueError(
            f"{config.ckpt_path}: the selector takes object tokens of width {token_dim}, those of "
            f"{sources.readers[0].tracks_dir} have {sources.token_dim}. Choose the tracker that it "
            "was trained with."
        )
    if text_dim != config.text_encoder.dim:
        raise ValueError(
            f"{config.ckpt_path}: the selector takes text tokens of width {text_dim}, those of "
            f"text_encoder={config.text_encoder.name} have {config.text_encoder.dim}. Choose the "
            "text encoder that it was trained with."
        )


def _check_origin(
    training: dict[str, Any], sources: TrackSources, config: EvaluateConfig | PredictConfig
) -> None:
    """Refuses tokens of other networks than those of the training, where these are known."""
    tracks = sources.readers[0]
    trained_on, found = training.get("checkpoint_sha256"), tracks.index.get("checkpoint_sha256")
    if trained_on not in (None, found):
        raise ValueError(
            f"{config.ckpt_path}: trained on object tokens of tracker {training.get('tracker')} "
            f"(sha256 {trained_on}), {tracks.tracks_dir} holds those of another (sha256 {found}). "
            "Tokens of different trackers do not mix: run generate.py with the tracker of the "
            "training."
        )
    encoder = training.get("text_encoder")
    if encoder not in (None, config.text_encoder.name):
        raise ValueError(
            f"{config.ckpt_path}: trained on text_encoder={encoder}, asked for is "
            f"text_encoder={config.text_encoder.name}. Choose that of the training."
        )
