"""Callbacks that log what a training shows beside its losses."""

import logging
import re
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytorch_lightning as pl
import torch
import torch.distributed as dist
from numpy.typing import NDArray
from pytorch_lightning.callbacks import Callback
from torch import Tensor, nn
from torch.nn.utils import get_total_norm

from sola.datasets import Split
from sola.errors import UserError
from sola.evaluation.j_and_f import Score
from sola.selector.base import PROVENANCE_KEY
from sola.training.module import SCORED, SelectorModule
from sola.training.scoring import GRID, ScoredBatch, ValidationScorer
from sola.types import Expression
from sola.visualization.dashboard.board import Board, Cell, Histogram, Value, VideoClip
from sola.visualization.overlays import evenly_spaced
from sola.visualization.plots import LinePlot
from sola.visualization.videos import draw_answer_clip, show_video

# scores of an expression in the table of examples, the highest first
NUM_SCORES = 20
BIN_EDGES = np.linspace(0, 1, 51)

log = logging.getLogger(__name__)


class GradientNorms(Callback):
    """Gradient norms of each part of the selector, of all devices, before clipping.

    They go into the row of ``StepMetrics``, and are computed only on the steps that are logged.

    Args:
        every_n_steps: as for ``StepMetrics``.
    """

    def __init__(self, every_n_steps: int) -> None:
        self.every_n_steps = every_n_steps

    def on_before_optimizer_step(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, optimizer: Any
    ) -> None:
        """Add them to the losses of the step."""
        is_due = (trainer.global_step + 1) % self.every_n_steps == 0
        if trainer.is_global_zero and is_due:
            assert isinstance(pl_module, SelectorModule)
            pl_module.step_metrics |= gradient_norms(pl_module.selector)


def gradient_norms(selector: nn.Module) -> dict[str, float]:
    """Return the L2 norms of the gradients of each part, such as ``layers.0``, and of all parts.

    Args:
        selector: after a backward pass.
    """
    parts: dict[str, list[Tensor]] = defaultdict(list)
    for name, parameter in selector.named_parameters():
        if parameter.grad is not None and parameter.numel() > 0:
            parts[re.sub(r"^(\w+(\.\d+)?).*", r"\1", name)].append(parameter.grad)
    norms = [get_total_norm(grads) for grads in parts.values()]
    values = torch.stack([*norms, get_total_norm(norms)]).tolist()
    return dict(zip((f"grad_norm/{part}" for part in [*parts, "all"]), values, strict=True))


def record_checkpoint(board: Board, path: Path, *, keep_copy: bool) -> None:
    """Record the best checkpoint that a run made, with its provenance.

    Args:
        board: of the run.
        path: of the checkpoint; a run may end without one.
        keep_copy: upload the checkpoint itself.
    """
    if path.is_file():
        content = torch.load(path, map_location="cpu", weights_only=True)[PROVENANCE_KEY]
        kind = content["selector"]["_target_"].rpartition(".")[2]
        name = f"selector-{kind}-{content['dataset']}"
        board.add_artifact(name, "selector", path, metadata=content, keep_copy=keep_copy)


class Finding(NamedTuple):
    """What a validation found of one expression.

    Attributes:
        scores: (N,) of its tracks.
        labels: (N,) bool, tracks that it refers to.
        curve: J and F at the configured threshold and at those of ``GRID``.
        oracle: J and F of the oracle, if known.
        by_name: J&F at the configured threshold, by breakdown, such as valid_by_size/small.
    """

    scores: NDArray[np.float32]
    labels: NDArray[np.bool_]
    curve: list[Score]
    oracle: Score | None
    by_name: dict[str, float]


class ValidationDashboard(Callback):
    """Logs breakdowns, threshold curve, histograms and a table of examples of every validation.

    They cover the expressions of all processes; the first process logs them.

    Args:
        board: of the run.
        scorer: of the validation split.
        dataset: the split.
        threshold: the configured one.
        sources: prompt sources of the tracks.
        num_examples: rows of the table.
        every_n_validations: validations from one table to the next.
        num_frames: maximum length of an overlay video.
    """

    def __init__(
        self,
        board: Board,
        scorer: ValidationScorer,
        dataset: Split,
        *,
        threshold: float,
        sources: Sequence[str],
        num_examples: int,
        every_n_validations: int,
        num_frames: int,
    ) -> None:
        self.board, self.scorer, self.dataset = board, scorer, dataset
        self.threshold, self.sources = threshold, sources
        self.every_n_validations, self.num_frames = every_n_validations, num_frames
        self.num_examples = num_examples if board.shows_pictures else 0
        self._num_validations = 0
        self._findings: dict[tuple[str, str], Finding] = {}

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Forget the last validation."""
        self._findings = {}

    def on_validation_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, *unused: Any
    ) -> None:
        """Keep what a step found."""
        if outputs is None:
            return
        batch: ScoredBatch = outputs[SCORED]
        by_source = {source: self._of_source(source, batch) for source in self.sources}
        for idx, expression in enumerate(batch.expressions):
            curve = [batch.curves[idx].at(threshold) for threshold in (self.threshold, *GRID)]
            size = self.scorer.groups(expression)["size"]
            labels = {"size": size} | ({"kind": expression.kind} if expression.kind else {})
            by_name = {f"valid_by_{name}/{label}": curve[0].jf for name, label in labels.items()}
            by_name |= {f"valid_by_source/{name}": of[idx].jf for name, of in by_source.items()}
            self._findings[expression.video_id, expression.expression_id] = Finding(
                batch.scores[idx], batch.labels[idx], curve, batch.oracles[idx], by_name
            )

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Log everything."""
        if dist.is_available() and dist.is_initialized():
            parts: list[Any] = [None] * dist.get_world_size()
            dist.all_gather_object(parts, self._findings)
            self._findings = {name: found for part in parts for name, found in part.items()}
        findings = list(self._findings.values())
        if not (trainer.is_global_zero and findings):
            return
        by_name: dict[str, list[float]] = defaultdict(list)
        for found in findings:
            for name, jf in found.by_name.items():
                by_name[name].append(jf)
        scores = np.concatenate([found.scores for found in findings])
        labels = np.concatenate([found.labels for found in findings])
        values: dict[str, Value] = {name: float(np.mean(jfs)) for name, jfs in by_name.items()}
        values["valid/threshold_curve"] = _curve(findings)
        values["valid/scores_correct"] = Histogram(*np.histogram(scores[labels], BIN_EDGES))
        values["valid/scores_wrong"] = Histogram(*np.histogram(scores[~labels], BIN_EDGES))
        is_due = self._num_validations % self.every_n_validations == 0
        self._num_validations += 1
        with tempfile.TemporaryDirectory() as folder:
            if is_due and (rows := self._examples(Path(folder))):
                values["valid/examples"] = rows
            self.board.log(values, step=trainer.global_step - 1)

    def _of_source(self, source: str, batch: ScoredBatch) -> list[Score]:
        """Scores of the selection among the tracks of one prompt source."""
        if len(self.sources) == 1:
            return [curve.at(self.threshold) for curve in batch.curves]
        return self.scorer.trace_source(
            source, batch.expressions, batch.scores, threshold=self.threshold
        )

    def _examples(self, folder: Path) -> list[dict[str, Cell]]:
        """The rows of the table; some may be missing by trainer.limit_val_batches."""
        everything = self.dataset.expressions
        chosen = (everything[i] for i in evenly_spaced(len(everything), self.num_examples))
        shown = [(e, self._findings.get((e.video_id, e.expression_id))) for e in chosen]
        pairs = [(expression, found) for expression, found in shown if found is not None]
        clips: list[VideoClip | None] = [None] * len(pairs)
        try:
            for idx, pair in enumerate(pairs):
                clips[idx] = self._draw(folder / f"{idx}.mp4", *pair)
        except UserError as error:  # training itself needs no frames
            log.warning("no overlay video for the dashboard: %s", error)
        return [self._row(*pair, clip) for pair, clip in zip(pairs, clips, strict=True)]

    def _draw(self, path: Path, expression: Expression, found: Finding) -> VideoClip:
        video, tracks = expression.video_id, self.scorer.read(expression.video_id)
        truth = self.dataset.ground_truth(video)
        objects = {name: truth[name] for name in expression.object_ids or ()}
        frames = self.dataset.videos[video]
        shown = show_video(frames, tracks.size, self.num_frames, tracks.masklets, objects)
        selected = np.array(self.scorer.tracks_of(expression))[found.scores > self.threshold]
        caption = f"J&F {100 * found.curve[0].jf:.1f}, tracks: {len(selected)}"
        return draw_answer_clip(path, shown, expression.text, selected.tolist(), caption)

    def _row(
        self, expression: Expression, found: Finding, clip: VideoClip | None
    ) -> dict[str, Cell]:
        tracks = self.scorer.tracks_of(expression)
        by_score = sorted(zip(found.scores, tracks, found.labels, strict=True), reverse=True)
        words = [f"{idx}: {score:.2f}{' correct' if own else ''}" for score, idx, own in by_score]
        more = f" and {len(words) - NUM_SCORES} more" if len(words) > NUM_SCORES else ""
        selected = {idx for score, idx, _ in by_score if score > self.threshold}
        correct = {idx for _, idx, is_correct in by_score if is_correct}
        score, oracle = found.curve[0], None if found.oracle is None else found.oracle.jf
        size = self.scorer.groups(expression)["size"]

        def names(chosen: set[int]) -> str:
            return ", ".join(map(str, sorted(chosen)))

        row: dict[str, Cell] = {"video": expression.video_id}
        row |= {"expression": expression.expression_id, "sentence": expression.text}
        row |= {"kind": expression.kind, "size": size, "overlay": clip}
        row |= {"J": score.j, "F": score.boundary_f, "J&F": score.jf, "oracle J&F": oracle}
        row |= {"selected": names(selected), "missed": names(correct - selected)}
        scores = ", ".join(words[:NUM_SCORES]) + more
        return row | {"wrong": names(selected - correct), "scores": scores}


def _curve(findings: Sequence[Finding]) -> LinePlot:
    """Mean J, F and J&F by threshold, and the J&F of the oracle."""
    means = np.mean([found.curve[1:] for found in findings], axis=0)  # (K, 2)
    lines: dict[str, tuple[str, Sequence[float], Sequence[float]]] = {
        "J": ("correct", GRID, means[:, 0].tolist()),
        "F": ("wrong", GRID, means[:, 1].tolist()),
        "J&F": ("selection", GRID, means.mean(axis=1).tolist()),
    }
    oracles = [found.oracle.jf for found in findings if found.oracle is not None]
    if oracles:
        ends = (GRID[0], GRID[-1])
        lines["oracle J&F"] = ("oracle", ends, [float(np.mean(oracles))] * 2)
    return LinePlot("J, F, J&F by threshold", "threshold", lines)
