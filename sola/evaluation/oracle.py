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
from sola.masks import areas, decode, intersections, merge
from sola.types import Masklet

MAX_ENUMERATED = 8
"""Combinations of as many tracks fit into a byte a pixel."""
CHUNK_FRAMES = 16
"""Whole frames decoded at a time."""
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
    candidates = _overlapping(scorer, scorer.target(object_ids), tracks)
    if len(candidates) <= MAX_ENUMERATED:
        selected = _enumerate(scorer, object_ids, candidates)
    else:
        selected = _add_greedily(scorer, object_ids, candidates)
    score = scorer.score(selected, object_ids)
    return Oracle(selected, score, is_exact=len(candidates) <= MAX_ENUMERATED)


def _overlapping(scorer: VideoScorer, target: Masklet, tracks: Sequence[int]) -> list[int]:
    if not target or not tracks:
        return []
    shared = intersections([scorer.tracks[idx] for idx in tracks], [target])  # (N, 1, T)
    return [tracks[position] for position in np.flatnonzero(shared.any(axis=(1, 2))).tolist()]


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

    Counts on every frame how many pixels lie inside each combination of candidates; the pixels of a
    union are those of the combinations that share a bit with the subset.
    """
    subsets = np.arange(2 ** len(candidates))
    is_hit = (subsets[:, None] & subsets[None]) != 0  # (subset, combination)
    target = scorer.target(object_ids)
    if not candidates or not target:
        return np.zeros(len(subsets))
    j = np.zeros(len(subsets))
    for start in range(0, len(target), CHUNK_FRAMES):
        frames = slice(start, start + CHUNK_FRAMES)
        masks = [decode(scorer.tracks[idx][frames]) for idx in candidates]
        bits = sum(
            (masklet.astype(np.uint8) << bit for bit, masklet in enumerate(masks)),
            start=np.zeros(masks[0].shape, dtype=np.uint8),
        )  # (frames, H, W), the combination of every pixel
        for combinations, is_true in zip(bits, decode(target[frames]), strict=True):
            inside = np.bincount(combinations[is_true], minlength=len(subsets))
            outside = np.bincount(combinations[~is_true], minlength=len(subsets))
            union = is_hit @ outside + inside.sum()
            j += np.where(union == 0, 1.0, (is_hit @ inside) / np.maximum(union, 1))
    return j / len(target)


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
    left = [idx for idx in candidates if idx not in selected]
    if not left:
        return []
    chosen = [scorer.tracks[idx] for idx in sorted(selected)]
    unions = [merge([*chosen, scorer.tracks[idx]]) for idx in left]
    target = scorer.target(object_ids)
    shared = intersections(unions, [target])[:, 0].astype(np.int64)  # (candidates, T)
    union = areas(unions) + areas([target]) - shared
    j = np.where(union == 0, 1.0, shared / np.maximum(union, 1)).mean(axis=1)
    return sorted(((float(j), idx) for j, idx in zip(j, left, strict=True)), reverse=True)
