"""What a training shows while it runs, beside its losses: callbacks for every logger."""

import logging
import tempfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback
from torch import Tensor, nn

from sola.config.entry_points import DashboardOptions
from sola.datasets import Split
from sola.errors import UserError
from sola.evaluation.tracks import VideoTracks
from sola.selector.base import PROVENANCE_KEY
from sola.training.findings import Finding, Findings
from sola.training.module import SCORED, SelectorModule
from sola.training.scoring import ValidationScorer
from sola.types import Expression
from sola.visualization.dashboard.board import Board
from sola.visualization.dashboard.clips import count_tracks, draw_answer_clip
from sola.visualization.dashboard.values import Artifact, Clip, Table, Value
from sola.visualization.overlays import evenly_spaced
from sola.visualization.report.videos import show_video

EXAMPLES = "valid/examples"
COLUMNS = (
    *("video", "expression", "sentence", "kind", "size", "overlay"),
    *("J", "F", "J&F", "oracle J&F", "selected", "missed", "wrong", "scores"),
)
NUM_SCORES = 20
"""Scores in a row of the table at most, the highest first."""

log = logging.getLogger(__name__)


class GradientNorms(Callback):
    """L2 norms of the gradients of each part of the selector, of all devices, before clipping.

    They go into the row of ``StepMetrics``. Only on the steps that are logged, anything is computed
    or a device waited for.

    Args:
        every_n_steps: as for ``StepMetrics``.
    """

    def __init__(self, every_n_steps: int) -> None:
        self.every_n_steps = every_n_steps

    def on_before_optimizer_step(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, optimizer: Any
    ) -> None:
        """Notes them beside the step's losses."""
        is_due = (trainer.global_step + 1) % self.every_n_steps == 0
        if trainer.is_global_zero and is_due:
            assert isinstance(pl_module, SelectorModule)
            pl_module.step_metrics |= gradient_norms(pl_module.selector)


class RunArtifacts(Callback):
    """What the run works on, and the checkpoint that it ends with.

    Args:
        board: of the run.
        inputs: tracks and tracker.
        best_path: of the checkpoint.
        keep_copy: whether the checkpoint itself is kept with the run.
    """

    def __init__(
        self, board: Board, inputs: Sequence[Artifact], best_path: Path, *, keep_copy: bool
    ) -> None:
        self.board, self.inputs = board, inputs
        self.best_path, self.keep_copy = best_path, keep_copy

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Names the inputs."""
        if trainer.is_global_zero:
            for artifact in self.inputs:
                self.board.take(artifact)

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Names the checkpoint, with what it says of itself."""
        if not (trainer.is_global_zero and self.best_path.is_file()):
            return
        content = torch.load(self.best_path, map_location="cpu", weights_only=True)
        provenance = content[PROVENANCE_KEY]
        kind = provenance["selector"]["_target_"].rpartition(".")[2]
        name = f"selector-{kind}-{provenance['dataset']}"
        artifact = Artifact(name, "selector", self.best_path, provenance)
        self.board.make(artifact, keep_copy=self.keep_copy)


class ValidationDashboard(Callback):
    """Breakdowns, the threshold curve, histograms and a table of examples, at every validation.

    All of them are of all processes' expressions; the first process logs them.

    Args:
        board: of the run.
        config: how many examples, and how often.
        scorer: of the validation split.
        dataset: the split.
        tracks: video id -> the tracks of all its expressions.
        threshold: the configured one.
        sources: prompt sources of the tracks.
    """

    def __init__(
        self,
        board: Board,
        config: DashboardOptions,
        scorer: ValidationScorer,
        dataset: Split,
        tracks: Callable[[str], VideoTracks],
        *,
        threshold: float,
        sources: Sequence[str],
    ) -> None:
        self.board, self.config, self.scorer = board, config, scorer
        self.dataset, self.tracks = dataset, tracks
        self.threshold, self.sources = threshold, tuple(sources)
        expressions = dataset.expressions
        num_shown = config.num_examples if board.shows_pictures else 0
        self.examples = [expressions[i] for i in evenly_spaced(len(expressions), num_shown)]
        self._num_validations = 0
        self._findings = self._start()

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Begins anew."""
        self._findings = self._start()

    def on_validation_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        *unused: Any,
    ) -> None:
        """Takes what a step found."""
        if outputs is not None:
            self._findings.add(outputs[SCORED], self.scorer)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Logs everything."""
        self._findings.gather()
        if not (trainer.is_global_zero and self._findings.by_name):
            return
        values: dict[str, Value] = {
            **self._findings.by_label(),
            "valid/threshold_curve": self._findings.curve(),
            **self._findings.distributions(),
        }
        is_due = self._num_validations % self.config.examples_every_n_validations == 0
        self._num_validations += 1
        with tempfile.TemporaryDirectory() as folder:
            if self.examples and is_due:
                values[EXAMPLES] = self._table(Path(folder))
            self.board.log(values, step=trainer.global_step - 1)

    def _start(self) -> Findings:
        shown = frozenset((e.video_id, e.expression_id) for e in self.examples)
        return Findings(self.threshold, self.sources, shown)

    def _table(self, folder: Path) -> Table:
        rows, is_warned = [], False
        for number, expression in enumerate(self.examples):
            name = (expression.video_id, expression.expression_id)
            finding = self._findings.by_name.get(name)
            if finding is None:
                continue  # trainer.limit_val_batches
            clip: Clip | None = None
            try:
                clip = self._draw(folder / f"{number}.mp4", expression, finding)
            except UserError as error:  # training itself needs no frames
                if not is_warned:
                    log.warning("no overlay video for the dashboard: %s", error)
                is_warned = True
            rows.append(_row(expression, finding, clip, self.threshold))
        return Table(COLUMNS, rows)

    def _draw(self, path: Path, expression: Expression, finding: Finding) -> Clip:
        tracks = self.tracks(expression.video_id)
        shown = show_video(
            0,
            self.dataset.videos[expression.video_id],
            tracks,
            self.dataset.ground_truth(expression.video_id),
            self.config.example_frames,
        )
        selected = [idx for idx, score, _ in finding.tracks if score > self.threshold]
        caption = f"J&F {100 * finding.score.jf:.1f}, {count_tracks(len(selected))}"
        return draw_answer_clip(path, shown, expression, selected, caption)


def gradient_norms(selector: nn.Module) -> dict[str, float]:
    """Norms of the gradients by the selector's parts, and of all together; waits for the device.

    Args:
        selector: after a backward pass; a part is what its parameters' names begin with, of layers
            each.
    """
    parts: dict[str, list[Tensor]] = {}
    for name, parameter in selector.named_parameters():
        if parameter.grad is not None and parameter.numel() > 0:
            first, *more = name.split(".")
            part = f"{first}.{more[0]}" if more and more[0].isdigit() else first
            parts.setdefault(part, []).append(parameter.grad)
    if not parts:
        return {}
    norms = [torch.stack(torch._foreach_norm(grads)).norm() for grads in parts.values()]
    total = torch.stack(norms).norm()
    values = torch.stack([*norms, total]).tolist()
    return dict(zip((f"grad_norm/{part}" for part in [*parts, "all"]), values, strict=True))


def _row(
    expression: Expression, finding: Finding, clip: Clip | None, threshold: float
) -> Sequence[str | float | Clip | None]:
    by_score = sorted(finding.tracks, key=lambda track: -track[1])
    selected = [track for track in by_score if track[1] > threshold]
    words = [f"{idx}: {score:.2f}{' right' if own else ''}" for idx, score, own in by_score]
    more = f" and {len(words) - NUM_SCORES} more" if len(words) > NUM_SCORES else ""
    return (
        *(expression.video_id, expression.expression_id, expression.text),
        *(finding.groups["kind"], finding.groups["size"], clip),
        *(finding.score.j, finding.score.boundary_f, finding.score.jf),
        None if finding.oracle is None else finding.oracle.jf,
        _names(idx for idx, _, _ in selected),
        _names(idx for idx, score, own in by_score if own and score <= threshold),
        _names(idx for idx, _, own in selected if not own),
        ", ".join(words[:NUM_SCORES]) + more,
    )


def _names(tracks: Iterable[int]) -> str:
    return ", ".join(str(idx) for idx in sorted(tracks))
