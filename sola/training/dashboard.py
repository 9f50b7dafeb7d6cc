"""Dashboard of each validation: breakdowns, threshold curve, score histograms, examples."""

import logging
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback

from sola.datasets import Split
from sola.errors import UserError
from sola.training.module import SelectorModule
from sola.training.scoring import GRID, Finding, ValidationScorer
from sola.visualization.board import Board, Cell, Histogram, Value, VideoClip
from sola.visualization.overlays import evenly_spaced
from sola.visualization.plots import LinePlot
from sola.visualization.videos import draw_answer_clip, show_video

# most scores listed per expression in the table of examples, highest first
NUM_SCORES = 20
BIN_EDGES = np.linspace(0, 1, 51)

log = logging.getLogger(__name__)


class ValidationDashboard(Callback):
    """Logs breakdowns, threshold curve, histograms and examples of every validation.

    They cover the expressions of all processes; rank 0 logs them.

    Args:
        board: dashboard of the run.
        scorer: scorer of the validation split.
        dataset: the validation split.
        num_examples: number of expressions in the table of examples, evenly spaced in the split.
        every_n_validations: log the table of examples at every n-th validation.
        num_frames: largest number of frames of an overlay video.
    """

    def __init__(
        self,
        board: Board,
        scorer: ValidationScorer,
        dataset: Split,
        num_examples: int,
        every_n_validations: int,
        num_frames: int,
    ) -> None:
        self.board, self.scorer, self.dataset = board, scorer, dataset
        self.num_examples = num_examples if board.shows_pictures else 0
        self.every_n_validations, self.num_frames = every_n_validations, num_frames
        self._num_validations = 0

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Log everything."""
        if not trainer.is_global_zero:
            return
        assert isinstance(pl_module, SelectorModule)
        findings = pl_module.findings
        by_name: dict[str, list[float]] = defaultdict(list)
        for found in findings:
            for name, jf in found.breakdowns.items():
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
            if is_due and (rows := self._examples(findings, Path(folder))):
                values["valid/examples"] = rows
            self.board.log(values, step=trainer.global_step - 1)

    def _examples(self, findings: Sequence[Finding], folder: Path) -> list[dict[str, Cell]]:
        """Return the rows of the table; trainer.limit_val_batches may leave some out."""
        by_expression = {found.expression: found for found in findings}
        everything = self.dataset.expressions
        chosen = [everything[i] for i in evenly_spaced(len(everything), self.num_examples)]
        shown = [by_expression[each] for each in chosen if each in by_expression]
        clips: list[VideoClip | None] = [None] * len(shown)
        try:
            for idx, found in enumerate(shown):
                clips[idx] = self._draw(folder / f"{idx}.mp4", found)
        except UserError as error:  # training itself needs no frames
            log.warning("no overlay video for the dashboard: %s", error)
        return [self._row(found, clip) for found, clip in zip(shown, clips, strict=True)]

    def _draw(self, path: Path, found: Finding) -> VideoClip:
        expression = found.expression
        tracks = self.scorer.read(expression.video_id)
        truth = self.dataset.ground_truth(expression.video_id)
        objects = {name: truth[name] for name in expression.object_ids or ()}
        frames = self.dataset.videos[expression.video_id]
        shown = show_video(frames, tracks.size, self.num_frames, tracks.masklets, objects)
        of_expression = np.array(self.scorer.tracks_of(expression))
        selected = of_expression[found.scores > self.scorer.threshold]
        caption = f"J&F {100 * found.curve[0].jf:.1f}, tracks: {len(selected)}"
        return draw_answer_clip(path, shown, expression.text, selected.tolist(), caption)

    def _row(self, found: Finding, clip: VideoClip | None) -> dict[str, Cell]:
        expression, score = found.expression, found.curve[0]
        tracks = self.scorer.tracks_of(expression)
        by_score = sorted(zip(found.scores, tracks, found.labels, strict=True), reverse=True)
        words = [f"{idx}: {score:.2f}{' correct' if own else ''}" for score, idx, own in by_score]
        selected = {idx for score, idx, _ in by_score if score > self.scorer.threshold}
        correct = {idx for _, idx, is_correct in by_score if is_correct}

        def names(chosen: set[int]) -> str:
            return ", ".join(map(str, sorted(chosen)))

        row: dict[str, Cell] = {"video": expression.video_id}
        row |= {"expression": expression.expression_id, "sentence": expression.text}
        row |= {"kind": expression.kind, "size": self.scorer.size_group(expression)}
        row |= {"overlay": clip, "J": score.j, "F": score.boundary_f, "J&F": score.jf}
        row |= {"oracle J&F": None if found.oracle is None else found.oracle.jf}
        row |= {"selected": names(selected), "missed": names(correct - selected)}
        row |= {"wrong": names(selected - correct)}
        return row | {"scores": ", ".join(words[:NUM_SCORES])}


def _curve(findings: Sequence[Finding]) -> LinePlot:
    """Return the plot of mean J, F and J&F by threshold, with the J&F of the oracle."""
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
