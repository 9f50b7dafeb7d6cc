"""A split, its tracks, and the scores of a scorer: what evaluation and prediction start from."""

import hashlib
import platform
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

import torch

from sola.datasets import Split
from sola.errors import UserError
from sola.evaluation.scorers import Scorer, SelectorScorer
from sola.evaluation.scores import OtherTexts, ScoreCache, Scores, score_expressions
from sola.evaluation.tracks import TrackReader, TrackSources, VideoReader, check_has_tokens
from sola.files import plain, sha256_of_code, sha256_of_file
from sola.selector import Selector
from sola.selector.checkpoint import load_selector, weights_file
from sola.shards import fingerprint
from sola.text import TextEncoder, TextTokens

SCORES_FILE = "scores.json"
PACKAGES = ("sola-rvos", "torch", "numpy", "pycocotools", "opencv-python-headless", "transformers")


@dataclass(frozen=True)
class ScoredSplit:
    """A split, its tracks and their scores.

    Attributes:
        dataset: the split.
        sources: reads its tracks.
        scores: scores of all expressions.
        provenance: names of every number made from it: data set, split, scorer, tracks, versions.
    """

    dataset: Split
    sources: VideoReader
    scores: Scores
    provenance: dict[str, Any]


@dataclass(frozen=True)
class Checkpoint:
    """A trained selector on disk.

    Attributes:
        path: a best.ckpt, or a folder of save_pretrained.
        text_encoder: must be that of the training.
        own_selectors: classes outside sola that the checkpoint may name.
    """

    path: Path
    text_encoder: TextEncoder
    own_selectors: tuple[str, ...] = ()

    def load(self, tracks: Mapping[str, Any], where: str) -> tuple[Selector, dict[str, Any]]:
        """Load the selector, and what is recorded of its training.

        Args:
            tracks: token_dim and checkpoint_sha256 of the tracks to score.
            where: names the tracks in messages.

        Raises:
            UserError: if the checkpoint is missing or damaged, or does not fit the tracks or the
                text encoder.
        """
        selector, training = load_selector(self.path, self.own_selectors)
        check_has_tokens(tracks["token_dim"], where)
        encoder, widths = self.text_encoder, selector.kwargs
        key = "checkpoint_sha256"
        for named, what, trained, found in (
            (where, "token_dim", widths.get("token_dim"), tracks["token_dim"]),
            (where, key, training.get(key), tracks.get(key)),
            (f"text_encoder={encoder.name}", "text_dim", widths.get("text_dim"), encoder.dim),
            ("this run", "text_encoder", training.get("text_encoder"), encoder.name),
        ):
            if trained not in (None, found):
                raise UserError(
                    f"{self.path}: trained with {what}={trained}, {named} has {what}={found}. "
                    "Choose the tracker and the text encoder of its training."
                )
        return selector, training

    def open_scorer(
        self, tracks: TrackReader, text_dir: Path, device: torch.device
    ) -> tuple[Scorer, dict[str, Any]]:
        """Return the scorer, and the names of it that go with every number.

        Raises:
            UserError: as ``load`` does.
        """
        selector, training = self.load(tracks.index, str(tracks.tracks_dir))
        text = TextTokens(text_dir, self.text_encoder)
        sha256 = sha256_of_file(weights_file(self.path))
        description = {
            "checkpoint_sha256": sha256,
            "selector": plain(selector.description),
            "device": device.type,
            "text_encoder": text.identity,
        }
        named = {"path": str(self.path), "sha256": sha256, "training": plain(training)}
        names = {"checkpoint": named, "text_encoder": self.text_encoder.name}
        return SelectorScorer(selector.to(device), text.tokens, description), names


def score_dataset(
    dataset: Split,
    sources: TrackSources,
    scorer: Scorer,
    names: Mapping[str, Any],
    *,
    others: OtherTexts | None = None,
    cache_dir: Path | None = None,
) -> ScoredSplit:
    """Score every expression of a split.

    Args:
        dataset: the split.
        sources: its tracks.
        scorer: gives the scores.
        names: names of the scorer, for the provenance.
        others: expressions whose text is scored for an expression's tracks as well.
        cache_dir: folder of scores of earlier runs; None: scores are neither read nor cached.
    """
    versions_found, others = versions(), others or {}
    where = {"dataset": dataset.name, "split": dataset.split}
    readers = [_describe(reader) for reader in sources.readers]
    provenance = {**where, **names, "tracks": readers, "versions": versions_found}
    cache = None
    if cache_dir is not None:
        code = (type(scorer), type(getattr(scorer, "selector", scorer)))
        asked = ((e, others.get((e.video_id, e.expression_id))) for e in dataset.expressions)
        key = {
            **where,
            **plain(scorer.describe()),
            "versions": versions_found,
            "code": [_sha256_of_scoring(), *map(sha256_of_code, code)],
            "expressions": [
                [e.video_id, e.expression_id, e.text, other and other.expression_id]
                for e, other in asked
            ],
            "tracks": [fingerprint(reader.tracks_dir) for reader in sources.readers],
        }
        cache = ScoreCache(cache_dir, key)
    scores = None if cache is None else cache.read()
    if scores is None:
        scorer.prepare(dataset.expressions)
        scores = score_expressions(
            scorer, sources, dataset.expressions, videos=dataset.videos, others=others
        )
        if cache is not None:
            cache.write(scores)
    return ScoredSplit(dataset, sources, replace(scores, provenance=provenance), provenance)


def _sha256_of_scoring() -> str:
    """Return the SHA-256 of sola's own code that scores depend on."""
    package = Path(__file__).parents[1]
    paths = [*package.glob("selector/*.py"), *package.glob("text/*.py")]
    paths += [package / "evaluation" / f"{name}.py" for name in ("scorers", "scores", "tracks")]
    return hashlib.sha256(b"".join(path.read_bytes() for path in sorted(paths))).hexdigest()


def versions() -> dict[str, str]:
    """Return versions of Python and of the packages that numbers depend on; "" if not installed."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        found[name] = next((package.version for package in distributions(name=name)), "")
    return found


def _describe(reader: TrackReader) -> dict[str, Any]:
    names = ("source", "tracker", "checkpoint_sha256", "detector_sha256", "format_version")
    own = {k: v for k, v in reader.index.items() if k.endswith("_sha256") and isinstance(v, str)}
    return {"dir": str(reader.tracks_dir)} | {name: reader.index.get(name) for name in names} | own
