"""The numbers that a benchmark reports, by its own protocol."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from sola.evaluation.label_maps import AnnotatedSplit, score_annotators
from sola.evaluation.protocol import SELECTION, Benchmark, ExpressionResult
from sola.evaluation.scores import Scores
from sola.evaluation.tracks import VideoReader

Numbers = dict[str, float | None]
"""In [0, 1]; None: there is nothing to take the mean of."""

EVERY_FRAME = (
    "union of the selected masklets against union of the expression's objects, every frame; J and "
    "boundary F (tolerance 0.008 of the diagonal), a frame empty in both scores 1; mean over "
    "frames, then over expressions"
)
PROTOCOLS = {
    "mevis": EVERY_FRAME,
    "mevis_v2": (
        f"{EVERY_FRAME}, those without a target among them; N-acc: share of the expressions "
        "without a target that are answered by empty masks alone; T-acc: share of the others that "
        "are not; final: mean of J&F, N-acc and T-acc"
    ),
    "ref_youtube_vos": EVERY_FRAME,
    "ref_davis": (
        "DAVIS 2017 unsupervised: per annotator one label map a frame, of the expression with the "
        "highest score among the selected tracks that cover a pixel; void (255) left out of both "
        "sides; J and boundary F on every frame, labels and objects matched one to one for the "
        "highest J&F; mean over frames, then over the objects of all videos, then over the four "
        "annotators"
    ),
}
"""By the name that a split has for its own (``Split.protocol``)."""


def official_numbers(
    dataset: Benchmark,
    sources: VideoReader,
    scores: Scores,
    results: Sequence[ExpressionResult],
    *,
    threshold: float,
) -> dict[str, Any]:
    """What the benchmark of a data set would report of the selection.

    Args:
        dataset: the split.
        sources: its tracks.
        scores: of all its expressions.
        results: of all its expressions.
        threshold: a track is selected when its score is above this.

    Returns:
        "name" and "description" of the protocol, and its "numbers", ready for JSON.

    Raises:
        ValueError: if an annotator has no expression for a video (Ref-DAVIS17).
    """
    if isinstance(dataset, AnnotatedSplit):
        numbers = _of_annotators(score_annotators(dataset, sources, scores, threshold))
    elif dataset.protocol == "mevis_v2":
        numbers = _with_accuracies(results)
    else:
        numbers = _of_expressions(results)
    name = dataset.protocol
    return {"name": name, "description": PROTOCOLS[name], "numbers": numbers}


def _of_expressions(results: Sequence[ExpressionResult]) -> Numbers:
    scores = [result.answers[SELECTION].score for result in results]
    j, boundary_f = (float(value) for value in np.mean(scores, axis=0))
    return {"J": j, "F": boundary_f, "J&F": (j + boundary_f) / 2}


def _with_accuracies(results: Sequence[ExpressionResult]) -> Numbers:
    numbers = _of_expressions(results)
    n_acc = _share(results, lambda r: not r.expression.object_ids, is_empty=True)
    t_acc = _share(results, lambda r: bool(r.expression.object_ids), is_empty=False)
    parts = [numbers["J&F"], n_acc, t_acc]
    known = [part for part in parts if part is not None]
    final = float(np.mean(known)) if len(known) == len(parts) else None
    return {**numbers, "N-acc": n_acc, "T-acc": t_acc, "final": final}


def _share(
    results: Sequence[ExpressionResult],
    is_counted: Callable[[ExpressionResult], bool],
    *,
    is_empty: bool,
) -> float | None:
    """Share of the expressions that are answered by empty masks alone, or that are not."""
    found = [r.answers[SELECTION].is_empty == is_empty for r in results if is_counted(r)]
    return float(np.mean(found)) if found else None


def _of_annotators(by_annotator: Sequence[Sequence[tuple[float, float]]]) -> Numbers:
    means = np.array([np.mean(scores, axis=0) for scores in by_annotator])  # (annotators, 2)
    j, boundary_f = (float(value) for value in means.mean(axis=0))
    own = {f"J&F of annotator {idx}": float(jf) for idx, jf in enumerate(means.mean(axis=1))}
    return {"J": j, "F": boundary_f, "J&F": (j + boundary_f) / 2, **own}
