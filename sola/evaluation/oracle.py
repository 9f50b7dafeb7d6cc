"""The best that any selector could choose among the same tracks: what tracking leaves to language.

Best means highest J&F of the union. Candidates are those tracks that share a pixel with the target
on some frame. Up to ``MAX_ENUMERATED`` of them, every subset is considered, which is exact among
candidates; above, tracks are added one at a time, always the one that raises J&F most, until none
does: a lower bound of the best. Few selections are scored: ``Target.best`` leaves out those whose
bound is too low.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sola.evaluation.bounds import Additions, Target
from sola.evaluation.scorer import Score, VideoScorer
from sola.masks import count_combinations

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
    """``best_selection`` and ``best_track`` of one video.

    What they find is kept, and so is what tracks have in common with the last target.
    """

    def __init__(self, scorer: VideoScorer) -> None:
        self.scorer = scorer
        self._found: dict[tuple[frozenset[str], tuple[int, ...]], Oracle] = {}
        self._single: dict[tuple[frozenset[str], tuple[int, ...]], frozenset[int]] = {}
        self._last: tuple[frozenset[str], Target] | None = None

    def __call__(self, object_ids: Sequence[str], tracks: Sequence[int]) -> Oracle:
        """See ``best_selection``."""
        key = (frozenset(object_ids), tuple(tracks))
        if key not in self._found:
            self._found[key] = best_selection(self._target(key[0]), tracks)
        return self._found[key]

    def best_track(self, object_ids: Sequence[str], tracks: Sequence[int]) -> frozenset[int]:
        """See ``best_track``."""
        key = (frozenset(object_ids), tuple(tracks))
        if key not in self._single:
            self._single[key] = best_track(self._target(key[0]), tracks)
        return self._single[key]

    def _target(self, object_ids: frozenset[str]) -> Target:
        if self._last is None or self._last[0] != object_ids:
            self._last = (object_ids, Target(self.scorer, sorted(object_ids)))
        return self._last[1]


def best_selection(target: Target, tracks: Sequence[int]) -> Oracle:
    """The selection of tracks with the highest J&F against a target.

    Args:
        target: what an expression means; empty: the best answer is to select nothing.
        tracks: indices of the tracks to choose among.

    Returns:
        The selection; exact where there are at most ``MAX_ENUMERATED`` candidates.
    """
    candidates = [idx for idx in tracks if target.inside(idx).any()]
    is_exact = len(candidates) <= MAX_ENUMERATED
    search = _enumerate if is_exact else _add_greedily
    selected = search(target, candidates)
    return Oracle(selected, target.score(selected), is_exact)


def best_track(target: Target, tracks: Sequence[int]) -> frozenset[int]:
    """The one track with the highest J&F against a target, that of the highest J of equals.

    None of them where there are none; but one, right or not, where the target is empty.
    """
    found = target.best(Additions(target, tracks).options())
    return frozenset() if found is None else found


def _enumerate(target: Target, candidates: Sequence[int]) -> frozenset[int]:
    """Best of all subsets."""
    j = _j_of_subsets(target, candidates)
    sizes = np.array([subset.bit_count() for subset in range(len(j))])
    subsets = [
        (
            float(j[number]),
            frozenset(idx for bit, idx in enumerate(candidates) if number >> bit & 1),
        )
        for number in np.lexsort((sizes, -j)).tolist()
    ]
    found = target.best(subsets)
    assert found is not None, "there is the empty subset"
    return found


def _j_of_subsets(target: Target, candidates: Sequence[int]) -> NDArray[np.float64]:
    """J of the union of every subset of the candidates; bit k of a subset's number is candidate k.

    The pixels of a union are those of the combinations that share a bit with the subset.
    """
    if not candidates:
        return np.zeros(1)
    num_subsets = 2 ** len(candidates)
    subsets = np.arange(num_subsets)
    is_hit = (subsets[:, None] & subsets[None]) != 0  # (subset, combination)
    counts = count_combinations([*map(target.runs_of, candidates), target.runs])
    outside, inside = counts[:, :num_subsets], counts[:, num_subsets:]  # the last bit: the target's
    shared = inside @ is_hit.T  # (T, subset)
    union = outside @ is_hit.T + inside.sum(axis=1, keepdims=True)
    return np.where(union == 0, 1.0, shared / np.maximum(union, 1)).mean(axis=0)


def _add_greedily(target: Target, candidates: Sequence[int]) -> frozenset[int]:
    """Adds the track that raises J&F most, the one of the highest J of equals, until none does."""
    additions, best = Additions(target, candidates), target.score(frozenset()).jf
    while True:
        found = target.best(additions.options(), above=best, match=additions.match)
        if found is None:
            return additions.selected
        additions.add(*(found - additions.selected))
        best = target.score(found).jf
