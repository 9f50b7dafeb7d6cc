"""Masks of any system in the layout of a submission, as the one track of each expression."""

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sola.datasets import Split
from sola.errors import UserError
from sola.evaluation.measure import SELECTION, Answer, ExpressionResult
from sola.evaluation.scorer import Score
from sola.evaluation.scores import ExpressionScores, Scores, group_by_video
from sola.evaluation.submission_faults import (
    NUM_THREADS,
    MaskFiles,
    Size,
    mask_names,
    missing_faults,
    read_mask,
    wanted_masks,
)
from sola.evaluation.tracks import VideoTracks
from sola.masks import empty_masklet, encode
from sola.types import Expression, Masklet

MISSING_SHOWN = 20


@dataclass(frozen=True)
class Predictions:
    """Masks of a zip or folder.

    Attributes:
        dataset: the split that they answer.
        files: the files.
        top: folder that holds the videos, with a slash; "" for none.
        wanted: masks that the split needs, and their (H, W).
        missing: (video id, expression id) of expressions that lack a mask; they are empty.
    """

    dataset: Split
    files: MaskFiles
    top: str
    wanted: Mapping[str, Size]
    missing: frozenset[tuple[str, str]]

    def read(self, expressions: Sequence[Expression]) -> VideoTracks:
        """Read the tracks of one video, in the order of its expressions.

        Raises:
            UserError: if a mask cannot be read, or has another size than the frames.
        """
        num_frames = len(self.dataset.videos[expressions[0].video_id].frame_paths)
        ids = tuple(expression.expression_id for expression in expressions)
        return VideoTracks(
            video_id=expressions[0].video_id,
            object_tokens=np.zeros((len(ids), num_frames, 0), np.float32),
            masklets=tuple(map(self._masklet, expressions)),
            prompts=(),
            made_for=ids,
            candidates={expression_id: (idx,) for idx, expression_id in enumerate(ids)},
            size=self.wanted[mask_names(self.dataset, expressions[0])[0]],
        )

    def count_missing_as_zero(self, results: Iterable[ExpressionResult]) -> list[ExpressionResult]:
        """Replace the answers of missing expressions by wrong ones: 0 in J, F and accuracies."""
        counted = []
        for result in results:
            expression = result.expression
            if (expression.video_id, expression.expression_id) in self.missing:
                own = dict.fromkeys(result.answers[SELECTION].own, 0.0)
                answer = Answer((), Score(0.0, 0.0), bool(expression.object_ids), own)
                result = replace(result, answers={SELECTION: answer})
            counted.append(result)
        return counted

    def sure_scores(self) -> Scores:
        """Return a score above every threshold for the track of each expression."""
        sure, scores = np.full(1, np.inf, dtype=np.float32), {}
        for video_id, expressions in group_by_video(self.dataset.expressions).items():
            for idx, e in enumerate(expressions):
                own = ExpressionScores((idx,), {e.expression_id: sure})
                scores[video_id, e.expression_id] = own
        return Scores(scores, {})

    def _masklet(self, expression: Expression) -> Masklet:
        names = mask_names(self.dataset, expression)
        if (expression.video_id, expression.expression_id) in self.missing:
            return empty_masklet(len(names), self.wanted[names[0]])
        with ThreadPoolExecutor(NUM_THREADS) as pool:
            return encode(np.stack(list(pool.map(self._mask, names))))

    def _mask(self, name: str) -> NDArray[np.bool_]:
        try:
            return read_mask(self.files, self.top + name, self.wanted[name])
        except UserError as error:
            raise UserError(f"{self.top}{name}: {error}. Predict it again.") from error


def open_predictions(
    path: Path, dataset: Split, top_dir: str, *, allow_missing: bool
) -> Predictions:
    """Open the masks in a zip or folder; files that the split does not need are ignored.

    Args:
        path: a zip or folder.
        dataset: the split that they answer.
        top_dir: folder that usually holds the videos, "" for none.
        allow_missing: whether expressions may lack masks.

    Raises:
        UserError: if ``path`` is neither a zip nor a folder, or masks are missing.
    """
    files, wanted = MaskFiles(path), wanted_masks(dataset)
    top, there = files.find_top(wanted, top_dir), set(files.names)
    missing = frozenset(
        (expression.video_id, expression.expression_id)
        for expression in dataset.expressions
        if any(top + name not in there for name in mask_names(dataset, expression))
    )
    if missing and not allow_missing:
        lines = [str(fault) for fault in missing_faults(there, [top + name for name in wanted])]
        if len(lines) > MISSING_SHOWN:
            lines[MISSING_SHOWN:] = [f"... and {len(lines) - MISSING_SHOWN} more"]
        raise UserError(
            f"{path}: masks of {len(missing)} of {len(dataset.expressions)} expressions are "
            "missing. Predict them, or use missing=zero: each of these expressions then counts 0."
            + "".join(f"\n{line}" for line in lines)
        )
    return Predictions(dataset, files, top, wanted, missing)
