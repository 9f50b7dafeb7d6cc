"""The best that any selector could choose among the same tracks: what tracking leaves to language.

Best means highest J&F of the union. Candidates are those tracks that share a pixel with the target
on some frame. Up to ``MAX_ENUMERATED`` of them, every subset is considered, which is exact among
candidates; above, tracks are added one at a time, always the one that raises J&F most, until none
does: a lower bound of the best.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sola.evaluation.scorer import Score, VideoScorer
from sola.masks import Runs, count_combinations, jaccard, shared_pixels, unite

MAX_ENUMERATED = 8
"""256 subsets, of each of which J is computed."""
METHOD = (
    "subset of the tracks with the highest J&F; of the tracks that share a pixel with the target "
    f"on some frame: all subsets of up to {MAX_ENUMERATED}, else added greedily"
)


@dataclass(frozen=True)
class Oracle:
    """The best selection found for one target."""

    selected: frozenset[int]
    """Track indices; among equally good selections one of the fewest tracks."""
    score: Score
    is_exact: bool
    """Whether every subset of the candidates was considered."""


class OracleOfVideo:
    """``best_selection`` of one video, searched for once for the same objects and tracks."""

    def __init__(self, scorer: VideoScorer) -> None:
        self.scorer = scorer
        self._found: dict[tuple[frozenset[str], tuple[int, ...]], Oracle] = {}

    def __call__(self, object_ids: Sequence[str], tracks: Sequence[int]) -> Oracle:
        """See ``best_selection``."""
        key = (frozenset(object_ids), tuple(tracks))
        if key not in self._found:
            self._found[key] = best_selection(self.scorer, object_ids, tracks)
        return self._found[key]


def best_selection(scorer: VideoScorer, object_ids: Sequence[str], tracks: Sequence[int]) -> Oracle:
    """The selection of tracks with the highest J&F against the union of the objects.

    Args:
        scorer: of the video.
        object_ids: objects that an expression means; none: the best answer is to select nothing.
        tracks: indices of the tracks to choose among.

    Returns:
        The selection; exact where there are at most ``MAX_ENUMERATED`` candidates.

    Raises:
        ValueError: if an object has no masklet.
    """
    candidates = _overlapping(scorer, scorer.union(object_ids), tracks)
    if len(candidates) <= MAX_ENUMERATED:
        selected = _enumerate(scorer, object_ids, candidates)
    else:
        selected = _add_greedily(scorer, object_ids, candidates)
    score = scorer.score(selected, object_ids)
    return Oracle(selected, score, is_exact=len(candidates) <= MAX_ENUMERATED)


def _overlapping(scorer: VideoScorer, target: Runs, tracks: Sequence[int]) -> list[int]:
    return [idx for idx in tracks if shared_pixels(scorer.union([idx]), target).any()]


def _enumerate(
    scorer: VideoScorer, object_ids: Sequence[str], candidates: Sequence[int]
) -> frozenset[int]:
    """Best of all subsets; F is computed only where J leaves room for it, as F is at most 1."""
    j = _j_of_subsets(scorer, object_ids, candidates)
    sizes = np.array([subset.bit_count() for subset in range(len(j))])
    best, best_rank = frozenset[int](), (-1.0, 0)
    for subset in np.lexsort((sizes, -j)).tolist():
        if (j[subset] + 1) / 2 < best_rank[0] - 1e-12:
            break
        selected = frozenset(idx for bit, idx in enumerate(candidates) if subset >> bit & 1)
        rank = (scorer.score(selected, object_ids).jf, -int(sizes[subset]))
        if rank > best_rank:
            best, best_rank = selected, rank
    return best


def _j_of_subsets(
    scorer: VideoScorer, object_ids: Sequence[str], candidates: Sequence[int]
) -> NDArray[np.float64]:
    """J of the union of every subset of the candidates; bit k of a subset's number is candidate k.

    The pixels of a union are those of the combinations that share a bit with the subset.
    """
    if not candidates:
        return np.zeros(1)
    num_subsets = 2 ** len(candidates)
    subsets = np.arange(num_subsets)
    is_hit = (subsets[:, None] & subsets[None]) != 0  # (subset, combination)
    parts = [*(scorer.union([idx]) for idx in candidates), scorer.union(object_ids)]
    counts = count_combinations(parts)  # the last bit is the target's
    outside, inside = counts[:, :num_subsets], counts[:, num_subsets:]
    shared = inside @ is_hit.T  # (T, subset)
    union = outside @ is_hit.T + inside.sum(axis=1, keepdims=True)
    return np.where(union == 0, 1.0, shared / np.maximum(union, 1)).mean(axis=0)


def _add_greedily(
    scorer: VideoScorer, object_ids: Sequence[str], candidates: Sequence[int]
) -> frozenset[int]:
    selected = frozenset[int]()
    best = scorer.score(selected, object_ids).jf
    while True:
        found = None
        for j, idx in _by_j_when_added(scorer, object_ids, selected, candidates):
            if (j + 1) / 2 < best:
                break  # F is at most 1: neither this track nor those behind it can raise J&F
            jf = scorer.score(selected | {idx}, object_ids).jf
            if jf > best:
                found, best = idx, jf
        if found is None:
            return selected
        selected |= {found}


def _by_j_when_added(
    scorer: VideoScorer,
    object_ids: Sequence[str],
    selected: frozenset[int],
    candidates: Sequence[int],
) -> list[tuple[float, int]]:
    """(J, track) of the union with each candidate not yet selected, highest J first."""
    target, chosen = scorer.union(object_ids), scorer.union(selected)
    j = {
        idx: float(jaccard(unite([chosen, scorer.union([idx])]), target).mean())
        for idx in candidates
        if idx not in selected
    }
    return sorted(((value, idx) for idx, value in j.items()), reverse=True)
