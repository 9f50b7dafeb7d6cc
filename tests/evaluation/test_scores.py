"""Scores: independent of batching, and written with what they came from."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from sola.evaluation.scores import Scores, score_expressions, score_tracks, select
from sola.evaluation.tracks import TrackSources
from sola.selector import TrackSelector


@pytest.fixture
def selector() -> TrackSelector:
    torch.manual_seed(0)
    return TrackSelector(
        token_dim=4, text_dim=8, num_layers=1, num_negatives=2, num_heads=2, num_groups=2
    )


def text_tokens(texts: list[str]) -> list[np.ndarray]:
    """(number of letters, 8) each, the same for the same sentence."""
    return [np.random.default_rng(len(t)).random((len(t), 8), dtype=np.float32) for t in texts]


def test_scores_do_not_depend_on_what_is_scored_together(selector: TrackSelector) -> None:
    tokens = np.random.default_rng(0).standard_normal((3, 9, 4)).astype(np.float32)
    texts = text_tokens(["ab", "abcdefg", "abc", "abcd", "a"])
    selector.eval()

    alone = np.concatenate([score_tracks(selector, tokens, [text]) for text in texts])
    together = score_tracks(selector, tokens, texts, batch_size=2)

    assert together.shape == (5, 3)
    assert together.dtype == np.float32
    np.testing.assert_allclose(together, alone, rtol=0, atol=1e-6)
    assert together.std() > 1e-4  # scores that are all alike would prove nothing
    assert ((together > 0) & (together < 1)).all()


def test_every_expression_of_the_split_gets_a_score_for_every_track(
    selector: TrackSelector, dataset: SimpleNamespace, sources: TrackSources
) -> None:
    selector.train()

    scores = score_expressions(
        selector, text_tokens, sources, dataset.expressions, provenance={"split": "valid_u"}
    )

    assert not selector.training
    assert {key: len(row) for key, row in scores.by_expression.items()} == {
        (e.video_id, e.expression_id): 2 if e.video_id == "v1" else 0 for e in dataset.expressions
    }
    assert scores.tracks["v1"] == [
        {"source": "grid", "number": 0, "prompt_frame": 0, "prompt_area": 4},
        {"source": "grid", "number": 1, "prompt_frame": 0, "prompt_area": 12},
    ]
    assert scores.provenance == {"split": "valid_u"}
    with pytest.raises(ValueError, match="no scores of video v1, expression 0"):
        Scores({}, {}).of(dataset.expressions[0])


def test_scores_are_written_with_their_tracks_and_provenance(
    scores: Scores, tmp_path: Path
) -> None:
    path = tmp_path / "new" / "scores.json"

    scores.save(path)

    written = json.loads(path.read_text())
    assert written["provenance"] == scores.provenance
    assert {key: video["tracks"] for key, video in written["videos"].items()} == scores.tracks
    for (video_id, expression_id), row in scores.by_expression.items():
        found = np.array(written["videos"][video_id]["scores"][expression_id], np.float32)
        np.testing.assert_array_equal(found, row)
    assert [file.name for file in path.parent.iterdir()] == ["scores.json"]


def test_a_track_is_selected_above_the_threshold_and_not_at_it() -> None:
    scores = np.array([0.5, 0.50001, 0.2], dtype=np.float32)

    assert select(scores, 0.5) == {1}
    assert select(scores, 0.1) == {0, 1, 2}
    assert select(scores[:0], 0.1) == frozenset()
