"""What a validation found, expression by expression, of all processes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch.distributed as dist
from numpy.typing import NDArray

from sola.evaluation.scorer import Score
from sola.training.scoring import GRID, ScoredBatch, ValidationScorer
from sola.types import Expression
from sola.visualization.dashboard.values import Distribution
from sola.visualization.report.charts import LineChart, Series

NUM_BINS = 50
"""Of the histograms of scores, over 0 to 1."""
EDGES = np.linspace(0, 1, NUM_BINS + 1)
Name = tuple[str, str]
"""(video id, expression id)."""


@dataclass(frozen=True)
class Finding:
    """What was found of one expression."""

    name: Name
    score: Score
    """At the configured threshold."""
    on_grid: tuple[Score, ...]
    """At the thresholds of ``GRID``."""
    oracle: Score | None
    groups: Mapping[str, str]
    """Its label by breakdown: kind (dataset specific, "" where not recorded) and size."""
    by_source: Mapping[str, Score]
    """At the configured threshold, among the tracks of each prompt source alone."""
    tracks: tuple[tuple[int, float, bool], ...] = ()
    """Of those shown alone: each track's place in the video, score, whether it is meant."""


@dataclass
class Findings:
    """Those of a validation; grows by ``add``, and with ``gather`` by those of other processes.

    Args:
        threshold: the configured one.
        sources: prompt sources of the tracks.
        shown: expressions of which all scores are kept.
    """

    threshold: float
    sources: Sequence[str]
    shown: frozenset[Name] = frozenset()
    by_name: dict[Name, Finding] = field(default_factory=dict)
    right: NDArray[np.int64] = field(default_factory=lambda: np.zeros(NUM_BINS, np.int64))
    """(``NUM_BINS``,) scores of tracks for expressions that mean them."""
    wrong: NDArray[np.int64] = field(default_factory=lambda: np.zeros(NUM_BINS, np.int64))
    """Those for expressions that do not."""

    def add(self, batch: ScoredBatch, scorer: ValidationScorer) -> None:
        """Takes what a step found."""
        by_source = self._by_source(batch, scorer)
        for idx, expression in enumerate(batch.expressions):
            name = (expression.video_id, expression.expression_id)
            scores, labels, curve = batch.scores[idx], batch.labels[idx], batch.curves[idx]
            self.right += np.histogram(scores[labels], EDGES)[0]
            self.wrong += np.histogram(scores[~labels], EDGES)[0]
            tracks: tuple[Any, ...] = ()
            if name in self.shown:
                own = scorer.tracks_of(expression)
                tracks = tuple(zip(own, scores.tolist(), labels.tolist(), strict=True))
            self.by_name[name] = Finding(
                name=name,
                score=curve.at(self.threshold),
                on_grid=tuple(curve.at(threshold) for threshold in GRID),
                oracle=batch.oracles[idx],
                groups=_groups(expression, scorer),
                by_source={source: scores[idx] for source, scores in by_source.items()},
                tracks=tracks,
            )

    def gather(self) -> None:
        """Takes those of all processes, if there are others; all of them have to call it."""
        if not (dist.is_available() and dist.is_initialized()):
            return
        parts: list[Any] = [None] * dist.get_world_size()
        dist.all_gather_object(parts, (self.by_name, self.right, self.wrong))
        self.by_name = {name: one for found, _, _ in parts for name, one in found.items()}
        self.right = np.sum([right for _, right, _ in parts], axis=0)
        self.wrong = np.sum([wrong for _, _, wrong in parts], axis=0)

    def by_label(self) -> dict[str, float]:
        """Mean J&F at the configured threshold, by breakdown and label."""
        values: dict[str, list[float]] = {}
        for finding in self.by_name.values():
            for breakdown, label in finding.groups.items():
                if label:
                    name = f"valid_by_{breakdown}/{label}"
                    values.setdefault(name, []).append(finding.score.jf)
            for source, score in finding.by_source.items():
                values.setdefault(f"valid_by_source/{source}", []).append(score.jf)
        return {name: float(np.mean(values[name])) for name in sorted(values)}

    def curve(self) -> LineChart:
        """Mean J, F and J&F by threshold, and the oracle's J&F."""
        means = np.mean([finding.on_grid for finding in self.by_name.values()], axis=0)  # (K, 2)
        series = [
            Series("J", "right", GRID, means[:, 0].tolist()),
            Series("F", "wrong", GRID, means[:, 1].tolist()),
            Series("J&F", "selection", GRID, means.mean(axis=1).tolist()),
        ]
        oracles = [f.oracle.jf for f in self.by_name.values() if f.oracle is not None]
        if oracles:
            ends = (GRID[0], GRID[-1])
            series.append(Series("oracle J&F", "oracle", ends, [float(np.mean(oracles))] * 2))
        return LineChart("J, F, J&F by threshold", "threshold", series, from_zero=True)

    def distributions(self) -> dict[str, Distribution]:
        """Histograms of the scores of right and of wrong tracks."""
        return {
            "valid/scores_right": Distribution(self.right, EDGES),
            "valid/scores_wrong": Distribution(self.wrong, EDGES),
        }

    def _by_source(self, batch: ScoredBatch, scorer: ValidationScorer) -> dict[str, list[Score]]:
        if len(self.sources) == 1:
            return {self.sources[0]: [curve.at(self.threshold) for curve in batch.curves]}
        return {
            source: scorer.trace_source(
                source, batch.expressions, batch.scores, threshold=self.threshold
            )
            for source in self.sources
        }


def _groups(expression: Expression, scorer: ValidationScorer) -> dict[str, str]:
    return {"kind": expression.kind, "size": scorer.groups(expression)["size"]}
