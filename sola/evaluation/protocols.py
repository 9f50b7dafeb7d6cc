"""Protocols of the benchmarks: the numbers that each of them reports."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from sola.config.console import progress
from sola.datasets import RefDAVIS
from sola.datasets.ref_davis import NUM_ANNOTATORS, annotator_of
from sola.errors import UserError
from sola.evaluation.measure import SELECTION, ExpressionResult
from sola.evaluation.scores import ScoredSplit, Scores, group_by_video
from sola.evaluation.tracks import VideoTracks
from sola.evaluation.video_scorer import Score, VideoScorer
from sola.masks import decode, encode
from sola.types import Expression, Masklet

Numbers = dict[str, float | None]  # in [0, 1]; None: a mean over no expressions
EVERY_FRAME = (
    "union of the selected masklets against union of the expression's objects, every frame; J and "
    "boundary F (tolerance 0.008 of the diagonal), a frame empty in both scores 1; mean over "
    "frames, then over expressions"
)
PROTOCOLS = {
    "mevis": EVERY_FRAME,
    "mevis_v2": (
        f"{EVERY_FRAME}, including those without a target; N-acc: share of the expressions "
        "without a target whose masks are all empty; T-acc: share of the other expressions whose "
        "masks are not all empty; final: mean of J&F, N-acc and T-acc"
    ),
    "ref_youtube_vos": EVERY_FRAME,
    "ref_davis": (
        "DAVIS 2017 unsupervised: one label map per frame and annotator; a pixel belongs to the "
        "expression with the highest score among the selected tracks that cover it; void pixels "
        "(255) ignored on both sides; J and boundary F on every frame, labels and objects matched "
        "one to one for the highest J&F; mean over frames, then over the objects of all videos, "
        "then over the four annotators"
    ),
}
"""Description by the name of a protocol (``Split.protocol``)."""


def official_numbers(
    split: ScoredSplit, results: Sequence[ExpressionResult], *, threshold: float
) -> dict[str, Any]:
    """Return the numbers of the selection under the benchmark's own protocol.

    Args:
        split: a split with its tracks and scores.
        results: results of all its expressions.
        threshold: a track is selected if it scores above this.

    Returns:
        "name" and "description" of the protocol, and its "numbers", ready for JSON.

    Raises:
        UserError: if an annotator has no expression for a video (Ref-DAVIS17).
    """
    name, numbers = split.dataset.protocol, Numbers()
    if name == "ref_davis":
        means = [_mean(scores) for scores in score_annotators(split, threshold)]
        numbers |= _mean(means).by_name()
        numbers |= {f"J&F of annotator {idx}": mean.jf for idx, mean in enumerate(means)}
    else:
        mean = _mean([result.answers[SELECTION].score for result in results])
        numbers |= mean.by_name()
        if name == "mevis_v2":
            numbers |= _accuracies(results, mean.jf)
    return {"name": name, "description": PROTOCOLS[name], "numbers": numbers}


def _mean(scores: Sequence[Score]) -> Score:
    return Score(*np.mean(scores, axis=0).tolist())


def _accuracies(results: Sequence[ExpressionResult], jf: float) -> Numbers:
    """Return the accuracies of MeViS v2; None where there are no expressions to count."""
    n_found = [r.answers[SELECTION].is_empty for r in results if not r.expression.object_ids]
    t_found = [not r.answers[SELECTION].is_empty for r in results if r.expression.object_ids]
    n_acc, t_acc = (float(np.mean(found)) if found else None for found in (n_found, t_found))
    is_known = n_acc is not None and t_acc is not None
    final = float(np.mean([jf, n_acc, t_acc])) if is_known else None
    return {"N-acc": n_acc, "T-acc": t_acc, "final": final}


def score_annotators(split: ScoredSplit, threshold: float) -> list[list[Score]]:
    """Return J and F of every object of every video, for each annotator of Ref-DAVIS17.

    An annotator's expressions are answered together by one label map per frame, and scored with
    DAVIS's unsupervised protocol (Caelles et al., "The 2019 DAVIS Challenge on VOS";
    ``davis2017-evaluation``, task "unsupervised").

    Raises:
        UserError: if an annotator has no expression for a video.
    """
    by_annotator: list[list[Score]] = [[] for _ in range(NUM_ANNOTATORS)]
    dataset = cast(RefDAVIS, split.dataset)
    videos = group_by_video(dataset.expressions)
    with progress("label maps", len(videos)) as advance:
        for video_id, expressions in videos.items():
            video = split.sources.read(expressions)
            truth, void = dataset.ground_truth(video_id), dataset.void(video_id)
            for annotator, found in enumerate(by_annotator):
                own = [e for e in expressions if annotator_of(e.expression_id) == annotator]
                if not own:
                    raise UserError(
                        f"video {video_id}: no expression of annotator {annotator} (ids "
                        f"{annotator}, {annotator + NUM_ANNOTATORS}, ...). Ref-DAVIS17 has one of "
                        f"each of {NUM_ANNOTATORS} for every object; get its expressions again."
                    )
                labels = draw_labels(video, own, split.scores, threshold)
                found += match_objects(labels, len(own), truth, void)
            advance("")
    return by_annotator


def draw_labels(
    video: VideoTracks, expressions: Sequence[Expression], scores: Scores, threshold: float
) -> NDArray[np.uint8]:
    """Draw one label map per frame.

    Args:
        video: tracks of the video.
        expressions: up to 255 expressions, labelled 1, 2, ... in their order.
        scores: scores of the tracks.
        threshold: a track is selected if it scores above this.

    Returns:
        (T, H, W) uint8: at each pixel the expression with the highest score among the selected
        tracks that cover it, the first of equals; 0 if none does.
    """
    assert len(expressions) <= 255, "more expressions than labels"
    painted = [
        (score, -label, track)
        for label, expression in enumerate(expressions, start=1)
        for track, score in scores.row(expression).items()
        if score > threshold
    ]
    labels = np.zeros((video.object_tokens.shape[1], *video.size), dtype=np.uint8)
    for _, negated, track in sorted(painted):  # the last one painted stays
        labels[decode(video.masklets[track])] = -negated
    return labels


def match_objects(
    labels: NDArray[np.uint8], num_labels: int, truth: Mapping[str, Masklet], void: Masklet
) -> list[Score]:
    """Match objects and labels one to one for the highest total J&F, and score each object.

    Args:
        labels: (T, H, W).
        num_labels: number of labels, 1 to num_labels; an object without a label left to match is
            scored against empty masks.
        truth: masklets of the objects.
        void: pixels left out of labels and objects.

    Returns:
        One score per object, in the order of ``truth``.
    """
    counts = ~decode(void)
    values = range(1, max(num_labels, len(truth)) + 1)
    preds = [encode((labels == value) & counts) for value in values]
    scorer = VideoScorer(preds, {name: encode(decode(m) & counts) for name, m in truth.items()})
    table = [[scorer.score([idx], [name]) for idx in range(len(preds))] for name in truth]
    jf = np.array([[score.jf for score in row] for row in table])  # (objects, labels)
    return [table[row][column] for row, column in zip(*linear_sum_assignment(-jf), strict=True)]
