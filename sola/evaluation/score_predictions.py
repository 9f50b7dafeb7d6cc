"""Scores the masks of any system by the protocol of a data set: evaluate.py predictions=..."""

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sola.config.entry_points import EvaluateConfig
from sola.datasets import Split
from sola.errors import UserError
from sola.evaluation.official import official_numbers
from sola.evaluation.own_metrics import add_own_metrics, describe_metrics
from sola.evaluation.png import read_mask
from sola.evaluation.protocol import (
    SELECTION,
    Answer,
    ExpressionResult,
    check_ground_truth,
    evaluate_expressions,
)
from sola.evaluation.run import EVALUATION_FILE
from sola.evaluation.scored_split import open_split, versions
from sola.evaluation.scorer import Score
from sola.evaluation.scores import ExpressionScores, Scores
from sola.evaluation.submission_faults import (
    NUM_THREADS,
    Files,
    Size,
    find_top,
    missing_faults,
    open_files,
    wanted_masks,
)
from sola.evaluation.summary import list_results, summarise
from sola.evaluation.table import official_line, print_tables
from sola.evaluation.tracks import VideoTracks
from sola.files import write_json
from sola.masks import empty_masklet, encode
from sola.types import Expression, Masklet

log = logging.getLogger(__name__)

THRESHOLD = 0.5
"""Any would do: a mask that was handed in is selected, with a score of 1."""
MISSING_SHOWN = 20


@dataclass(frozen=True)
class PredictedTracks:
    """Masks that were handed in, as the one track that each expression has."""

    dataset: Split
    files: Files
    prefix: str
    """Of the names of all files, before the video."""
    wanted: Mapping[str, Size]
    missing: frozenset[tuple[str, str]]
    """(video id, expression id) of those that lack a mask, and are empty."""

    def read(self, expressions: Sequence[Expression]) -> VideoTracks:
        """Tracks of one video, in the order of its expressions."""
        video = self.dataset.videos[expressions[0].video_id]
        masklets = tuple(self._masklet(expression) for expression in expressions)
        height, width = masklets[0][0]["size"]
        return VideoTracks(
            video_id=video.video_id,
            object_tokens=np.zeros((len(expressions), len(video.frame_paths), 0), np.float32),
            masklets=masklets,
            prompts=(),
            made_for=tuple(expression.expression_id for expression in expressions),
            candidates={e.expression_id: (idx,) for idx, e in enumerate(expressions)},
            size=(height, width),
        )

    def _masklet(self, expression: Expression) -> Masklet:
        names = names_of(self.dataset, expression)
        if (expression.video_id, expression.expression_id) in self.missing:
            return empty_masklet(len(names), self.wanted[names[0]])
        with ThreadPoolExecutor(NUM_THREADS) as pool:
            return encode(np.stack(list(pool.map(self._mask, names))))

    def _mask(self, name: str) -> NDArray[np.bool_]:
        faults, mask = read_mask(self.files.read(self.prefix + name), self.wanted[name])
        if faults:
            raise UserError(f"{self.prefix}{name}: {'; '.join(faults)}. Predict it again.")
        assert mask is not None, "without faults"
        return mask


def run_scoring(config: EvaluateConfig) -> dict[str, Any]:
    """Scores masks in the layout of a submission; ``<video>/<expression id>/<frame>.png``.

    Writes evaluation.json into the output folder and prints the tables.

    Args:
        config: ``predictions`` names a zip or a folder; see ``EvaluateConfig``.

    Returns:
        What evaluation.json holds.

    Raises:
        UserError: if the split has no ground truth, masks are missing (unless ``missing`` is
            "zero") or no masks of this split.
    """
    dataset = open_split(config)
    check_ground_truth(dataset)
    path = Path(config.predictions or "")
    sources = open_predictions(path, dataset, config.dataset.submission_top_dir)
    if sources.missing and config.missing != "zero":
        raise UserError(_list_missing(path, sources))
    scores = _sure_scores(dataset)
    results = evaluate_expressions(
        dataset, sources, scores, threshold=THRESHOLD, seed=None, num_workers=config.num_workers
    )
    results = add_own_metrics(
        [_selection_alone(result) for result in results],
        dataset,
        sources,
        config.metric,
        num_workers=config.num_workers,
    )
    results = [
        _as_zero(result) if _key(result) in sources.missing else result for result in results
    ]
    protocol = official_numbers(dataset, sources, scores, results, threshold=THRESHOLD)
    evaluation = {
        "dataset": dataset.name,
        "split": dataset.split,
        "predictions": str(path),
        "protocol": protocol,
        "num_expressions": len(results),
        "num_videos": len({result.expression.video_id for result in results}),
        "num_missing_as_zero": len(sources.missing),
        "versions": versions(),
        **({"metrics": describe_metrics(config.metric)} if config.metric else {}),
        **summarise(results),
        "expressions": list_results(results),
    }
    output_path = Path(config.paths.output_dir) / EVALUATION_FILE
    write_json(output_path, evaluation)
    print_tables(evaluation)
    log.info(
        "%s, %s/%s, %d expressions, of which %d are missing and count 0: %s",
        path,
        dataset.name,
        dataset.split,
        len(results),
        len(sources.missing),
        official_line(protocol),
    )
    log.info("%s: all numbers", output_path)
    return evaluation


def open_predictions(path: Path, dataset: Split, top_dir: str) -> PredictedTracks:
    """The masks in a zip or folder; those in it that the split does not need are left alone.

    Raises:
        UserError: if ``path`` is neither a zip nor a folder.
    """
    files, wanted = open_files(path), wanted_masks(dataset)
    top = find_top(Counter(files.names), wanted, top_dir)
    prefix = f"{top}/" if top else ""
    there = set(files.names)
    missing = frozenset(
        (expression.video_id, expression.expression_id)
        for expression in dataset.expressions
        if any(prefix + name not in there for name in names_of(dataset, expression))
    )
    return PredictedTracks(dataset, files, prefix, wanted, missing)


def names_of(dataset: Split, expression: Expression) -> list[str]:
    """Names of the masks of an expression, in the order of the frames."""
    folder = f"{expression.video_id}/{expression.expression_id}"
    return [f"{folder}/{p.stem}.png" for p in dataset.videos[expression.video_id].frame_paths]


def _list_missing(path: Path, sources: PredictedTracks) -> str:
    needed = [sources.prefix + name for name in sources.wanted]
    lines = [str(fault) for fault in missing_faults(set(sources.files.names), needed)]
    more = [f"... and {len(lines) - MISSING_SHOWN} more"] if len(lines) > MISSING_SHOWN else []
    return "\n".join(
        [
            f"{path}: masks of {len(sources.missing)} of {len(sources.dataset.expressions)} "
            "expressions are missing. Predict them, or take missing=zero: each of these "
            "expressions then counts 0.",
            *lines[:MISSING_SHOWN],
            *more,
        ]
    )


def _sure_scores(dataset: Split) -> Scores:
    """A score of 1 for the one track of every expression."""
    numbers: Counter[str] = Counter()
    by_expression = {}
    for expression in dataset.expressions:
        video_id, expression_id = expression.video_id, expression.expression_id
        row = {expression_id: np.ones(1, dtype=np.float32)}
        by_expression[video_id, expression_id] = ExpressionScores((numbers[video_id],), row)
        numbers[video_id] += 1
    return Scores(by_expression, {})


def _key(result: ExpressionResult) -> tuple[str, str]:
    return result.expression.video_id, result.expression.expression_id


def _as_zero(result: ExpressionResult) -> ExpressionResult:
    """Wrong in every way: also about whether there is a target."""
    own = dict.fromkeys(result.answers[SELECTION].own, 0.0)
    answer = Answer((), Score(0.0, 0.0), bool(result.expression.object_ids), own)
    return replace(result, answers={**result.answers, SELECTION: answer})


def _selection_alone(result: ExpressionResult) -> ExpressionResult:
    """Without what tracks could have answered: masks that are handed in are no choice of any."""
    return replace(result, answers={SELECTION: result.answers[SELECTION]})
