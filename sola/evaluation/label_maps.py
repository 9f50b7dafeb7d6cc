"""Ref-DAVIS17: an annotator's expressions answered together, by one label map a frame.

Scored by DAVIS's unsupervised protocol (Caelles et al., "The 2019 DAVIS Challenge on VOS";
``davis2017-evaluation``, task "unsupervised").
"""

from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from sola.config.progress import progress
from sola.datasets.ref_davis import NUM_ANNOTATORS, annotator_of
from sola.errors import UserError
from sola.evaluation.scorer import Score, VideoScorer
from sola.evaluation.scores import Scores, group_by_video
from sola.evaluation.tracks import VideoReader, VideoTracks
from sola.masks import decode, encode
from sola.types import Expression, Masklet

MAX_LABELS = 255


@runtime_checkable
class AnnotatedSplit(Protocol):
    """A data set whose expressions are answered annotator by annotator."""

    @property
    def expressions(self) -> list[Expression]:
        """All expressions of the split."""

    def ground_truth(self, video_id: str) -> dict[str, Masklet]:
        """Masklets of a video's objects."""

    def void(self, video_id: str) -> Masklet:
        """Pixels that count neither for nor against an answer."""


def score_annotators(
    dataset: AnnotatedSplit, sources: VideoReader, scores: Scores, threshold: float
) -> list[list[Score]]:
    """J and F of every object of every video, for each annotator.

    Raises:
        UserError: if an annotator has no expression for a video.
    """
    by_annotator: list[list[Score]] = [[] for _ in range(NUM_ANNOTATORS)]
    videos = group_by_video(dataset.expressions)
    with progress("label maps", len(videos)) as advance:
        for video_id, expressions in videos.items():
            video = sources.read(expressions)
            truth, void = dataset.ground_truth(video_id), dataset.void(video_id)
            for annotator, found in enumerate(by_annotator):
                own = [e for e in expressions if annotator_of(e.expression_id) == annotator]
                if not own:
                    raise UserError(
                        f"video {video_id}: no expression of annotator {annotator} (ids "
                        f"{annotator}, {annotator + NUM_ANNOTATORS}, ...). Ref-DAVIS17 has one of "
                        f"each of {NUM_ANNOTATORS} for every object; get its expressions again."
                    )
                labels = draw_labels(video, own, scores, threshold)
                found += match_objects(labels, len(own), truth, void)
            advance("")
    return by_annotator


def draw_labels(
    video: VideoTracks, expressions: Sequence[Expression], scores: Scores, threshold: float
) -> NDArray[np.uint8]:
    """One label map a frame.

    Args:
        video: tracks.
        expressions: up to 255, labelled 1, 2, ... in their order.
        scores: of their tracks.
        threshold: a track is selected when its score is above this.

    Returns:
        (T, H, W) uint8: the expression of which a selected track that covers the pixel has the
        highest score, the first of equals; 0 where none does.
    """
    assert len(expressions) <= MAX_LABELS, "more expressions than labels"
    painted = [
        (score, -label, track)
        for label, expression in enumerate(expressions, start=1)
        for track, score in scores.selected(expression, threshold).items()
    ]
    labels = np.zeros((video.object_tokens.shape[1], *video.size), dtype=np.uint8)
    for _, negated, track in sorted(painted):  # what is painted last stays
        labels[decode(video.masklets[track])] = -negated
    return labels


def match_objects(
    labels: NDArray[np.uint8], num_labels: int, truth: Mapping[str, Masklet], void: Masklet
) -> list[Score]:
    """J and F of each object and the label that it is matched with, for the highest J&F in all.

    Args:
        labels: (T, H, W).
        num_labels: labels 1, ..., num_labels; an object for which none is left scores as if it were
            answered by empty masks.
        truth: masklets of the objects.
        void: pixels left out of labels and objects.

    Returns:
        One score an object, in their order.
    """
    counts = ~decode(void)
    values = range(1, max(num_labels, len(truth)) + 1)
    preds = [encode((labels == value) & counts) for value in values]
    scorer = VideoScorer(preds, {name: encode(decode(m) & counts) for name, m in truth.items()})
    table = [[scorer.score([idx], [name]) for idx in range(len(preds))] for name in truth]
    jf = np.array([[score.jf for score in row] for row in table])  # (objects, labels)
    return [table[row][column] for row, column in zip(*linear_sum_assignment(-jf), strict=True)]
