"""The best selection among the tracks of an expression: an upper bound for any selector.

The best selection is the one whose union has the highest J&F. If at most ``MAX_ENUMERATED`` tracks
overlap the target, all their subsets are tried, which is exact. With more, tracks are added
greedily: each step compares the ``MAX_COMPARED`` additions with the highest J and takes the one
with the highest J&F, until none improves J&F. The result is then a lower bound of the best.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from sola.evaluation.video_scorer import Score, VideoScorer
from sola.masks.runs import Runs, jaccard, shared_pixels, unite

MAX_ENUMERATED = 8
MAX_COMPARED = 5
METHOD = (
    "subset of the tracks with the highest J&F; of the tracks that share a pixel with the target "
    f"on some frame: all subsets of up to {MAX_ENUMERATED}, else added greedily"
)
ROUNDING = 1e-9  # far above rounding errors of J and F


@dataclass(frozen=True)
class Oracle:
    """The best selection found for one target.

    Attributes:
        selected: indices of tracks; among equally good selections one with the fewest tracks.
        score: J and F of the selection.
        is_exact: whether every subset of the overlapping tracks was considered.
    """

    selected: frozenset[int]
    score: Score
    is_exact: bool


def best_selection(scorer: VideoScorer, object_ids: Iterable[str], tracks: Sequence[int]) -> Oracle:
    """Find the selection of tracks with the highest J&F.

    Args:
        scorer: scorer of the video.
        object_ids: objects that the expression refers to; if none, the empty selection is best.
        tracks: indices of the tracks to choose among.

    Raises:
        UserError: if an object has no masklet.
    """
    objects = frozenset(object_ids)
    target = scorer.union(objects)
    tracks = [idx for idx in tracks if shared_pixels(scorer.union([idx]), target).any()]
    is_exact = len(tracks) <= MAX_ENUMERATED
    found = frozenset[int]()
    if is_exact:
        found = _best(scorer, objects, _all_subsets(scorer, target, tracks))
    else:
        while True:
            additions = _additions(scorer, target, found, tracks)[:MAX_COMPARED]
            grown = _best(scorer, objects, additions)
            if scorer.score(grown, objects).jf <= scorer.score(found, objects).jf:
                break
            found = grown
    return Oracle(found, scorer.score(found, objects), is_exact)


def best_track(
    scorer: VideoScorer, object_ids: Iterable[str], tracks: Sequence[int]
) -> frozenset[int]:
    """Find the single track with the highest J&F among the ``MAX_COMPARED`` with the highest J.

    It is one track even if the expression refers to nothing, and empty only without tracks.

    Raises:
        UserError: if an object has no masklet.
    """
    objects = frozenset(object_ids)
    additions = _additions(scorer, scorer.union(objects), frozenset(), tracks)
    return _best(scorer, objects, additions[:MAX_COMPARED])


Candidate = tuple[float, frozenset[int]]
"""J of a selection, and the selection."""


def _best(
    scorer: VideoScorer, objects: frozenset[str], candidates: Sequence[Candidate]
) -> frozenset[int]:
    """Return the selection with the highest J&F, with the fewest tracks among equals; () if none.

    F is at most 1, so a selection whose J is too low is never scored.
    """
    best, found = (-1.0, 0), frozenset[int]()
    for j, selected in sorted(candidates, key=lambda candidate: -candidate[0]):
        if (j + 1) / 2 < best[0] - ROUNDING:
            break
        rank = (scorer.score(selected, objects).jf, -len(selected))
        if rank > best:
            best, found = rank, selected
    return found


def _additions(
    scorer: VideoScorer, target: Runs, selected: frozenset[int], tracks: Sequence[int]
) -> list[Candidate]:
    """Return the selection with each of the tracks added, highest J first."""
    union = scorer.union(selected)
    found = [
        (_mean_j(unite([union, scorer.union([idx])]), target), selected | {idx})
        for idx in tracks
        if idx not in selected
    ]
    return sorted(found, key=lambda candidate: -candidate[0])


def _all_subsets(scorer: VideoScorer, target: Runs, tracks: Sequence[int]) -> list[Candidate]:
    unions = {frozenset[int](): scorer.union(())}
    for idx in tracks:
        own = scorer.union([idx])
        unions |= {subset | {idx}: unite([union, own]) for subset, union in unions.items()}
    return [(_mean_j(union, target), subset) for subset, union in unions.items()]


def _mean_j(union: Runs, target: Runs) -> float:
    return float(np.mean(jaccard(union, target))) if target.num_frames else 1.0
