"""VideoScorer against the metrics on whole masks."""

import numpy as np
import pytest
import torch

from sola.errors import UserError
from sola.evaluation import video_scorer
from sola.evaluation.video_scorer import Score, VideoScorer
from sola.masks import empty_masklet, encode
from sola.metrics import boundary_f_measure, region_similarity


def random_masks(seed: int, count: int) -> np.ndarray:
    """(count, 4, 30, 40): boxes, some frames empty."""
    rng = np.random.default_rng(seed)
    masks = np.zeros((count, 4, 30, 40), dtype=bool)
    for mask in masks.reshape(-1, 30, 40)[:: 1 + seed % 2]:
        top, left = rng.integers(0, 25), rng.integers(0, 35)
        mask[top : top + rng.integers(1, 20), left : left + rng.integers(1, 20)] = True
    return masks


@pytest.mark.parametrize("seed", range(6))
def test_scores_are_those_of_the_whole_masks(seed: int) -> None:
    tracks, objects = random_masks(seed, 4), random_masks(seed + 100, 3)
    scorer = VideoScorer(
        [encode(m) for m in tracks], {str(i): encode(m) for i, m in enumerate(objects)}
    )

    for selected, object_ids in [([0], ["1"]), ([1, 3], ["0", "2"]), ([], ["0"]), ([2], [])]:
        preds = torch.from_numpy(tracks[selected].any(axis=0))
        target = torch.from_numpy(objects[[int(i) for i in object_ids]].any(axis=0))
        score = scorer.score(selected, object_ids)
        assert score.j == pytest.approx(region_similarity(preds, target).mean().item(), abs=1e-12)
        assert score.boundary_f == pytest.approx(
            boundary_f_measure(preds, target).mean().item(), abs=1e-12
        )
        assert score.jf == (score.j + score.boundary_f) / 2


def test_same_union_is_scored_once(monkeypatch: pytest.MonkeyPatch) -> None:
    tracks = [encode(m) for m in random_masks(1, 3)]
    scorer = VideoScorer(tracks, {"1": tracks[0], "2": tracks[1]})
    packed = []
    real = video_scorer.pack_runs
    monkeypatch.setattr(video_scorer, "pack_runs", lambda x: (packed.append(1), real(x))[1])

    for _ in range(3):
        scorer.score([0, 2], ["1"])
        scorer.score([2, 0], ["1"])
        scorer.score([0, 2], ["2"])

    assert len(packed) == 3  # one union of tracks, two of objects


def test_empty_selection_of_an_absent_object_scores_one() -> None:
    assert VideoScorer([], {}).score([], []) == Score(1, 1)
    truth = {"1": empty_masklet(3, (5, 5))}
    assert VideoScorer([], truth).score([], ["1"]) == Score(1, 1)


def test_video_without_tracks_scores_zero_for_a_visible_object() -> None:
    truth = {"1": encode(np.ones((2, 5, 5), dtype=bool))}

    score = VideoScorer([], truth).score([], ["1"])

    assert score.j == 0
    assert score.boundary_f == 1  # a mask that fills the frame has no boundary


def test_mismatched_inputs_are_refused() -> None:
    with pytest.raises(ValueError, match="sizes"):
        VideoScorer([empty_masklet(2, (4, 5))], {"1": empty_masklet(2, (5, 4))})
    with pytest.raises(ValueError, match=r"\[2, 3\]"):
        VideoScorer([empty_masklet(2, (4, 5))], {"1": empty_masklet(3, (4, 5))})
    with pytest.raises(UserError, match="object '9'"):
        VideoScorer([], {"1": empty_masklet(2, (4, 5))}).score([], ["9"])
