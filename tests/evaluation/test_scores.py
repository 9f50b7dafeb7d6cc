"""Scores: independent of batching, and written with what they came from."""

import json
from pathlib import Path
from types import SimpleNamespace

import drawn_split as drawn
import numpy as np
import pytest
from small_selectors import SEE_MOTION, make_selector

from sola.evaluation.scorers import SelectorScorer, score_tracks
from sola.evaluation.scores import ScoredSplit, Scores, choose_other_texts, score_expressions
from sola.evaluation.tracks import TrackSources
from sola.selector import Selector


@pytest.fixture(params=SEE_MOTION)
def selector(request: pytest.FixtureRequest) -> Selector:
    return make_selector(request.param, token_dim=4, text_dim=8)


def text_tokens(texts: list[str]) -> list[np.ndarray]:
    """(number of letters, 8) each, the same for the same sentence."""
    return [np.random.default_rng(len(t)).random((len(t), 8), dtype=np.float32) for t in texts]


def test_scores_do_not_depend_on_other_expressions(selector: Selector) -> None:
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
    selector: Selector, dataset: SimpleNamespace, sources: TrackSources
) -> None:
    selector.train()

    scores = score_expressions(
        SelectorScorer(selector, text_tokens),
        sources,
        dataset.expressions,
    )

    assert not selector.training
    for expression in dataset.expressions:
        tracks = (0, 1) if expression.video_id == "v1" else ()
        assert tuple(scores.row(expression)) == tracks
        assert scores.other_text(expression) is None
    place = {"source": "grid", "expression": None, "prompt_frame": 0}
    assert scores.tracks["v1"] == [
        {"number": 0, "prompt_area": 4} | place,
        {"number": 1, "prompt_area": 12} | place,
    ]
    with pytest.raises(KeyError):
        Scores({}, {}).row(dataset.expressions[0])


def test_tracks_of_an_expression_are_scored_only_for_it(
    selector: Selector, dataset: SimpleNamespace, make_reader: type
) -> None:
    shared, own = make_reader(drawn.TRACKS), make_reader(drawn.OWN_TRACKS, "gdino")
    others = choose_other_texts(dataset.expressions, seed=42)

    scores = score_expressions(
        SelectorScorer(selector, text_tokens),
        TrackSources([own, shared]),
        dataset.expressions,
        others=others,
    )

    assert len(others) == 2
    for expression in dataset.expressions:
        key = (expression.video_id, expression.expression_id)
        parts = [shared.read(key[0]), own.read(*key)]
        tokens = np.concatenate([part.object_tokens for part in parts])
        found = scores.by_expression[key]
        given = [expression, others[key]] if key in others else [expression]
        assert list(found) == [text.expression_id for text in given]
        for text in given:
            alone = score_tracks(selector, tokens, text_tokens([text.text]))[0]
            row = list(found[text.expression_id].values())
            np.testing.assert_allclose(row, alone, rtol=0, atol=1e-6)
    assert list(scores.row(dataset.expressions[2])) == [0, 1, 3, 4]
    described = [(t["source"], t["expression"], t["number"]) for t in scores.tracks["v1"]]
    assert described == [
        ("grid", None, 0),
        ("grid", None, 1),
        ("gdino", "0", 0),
        ("gdino", "2", 0),
        ("gdino", "2", 1),
        ("gdino", "3", 0),
    ]


@pytest.mark.parametrize(("source", "num_texts"), [("grid", [4, 1]), ("gdino", [2, 2, 1, 1, 1])])
def test_another_text_uses_the_shared_tracks(
    selector: Selector,
    dataset: SimpleNamespace,
    make_reader: type,
    source: str,
    num_texts: list[int],
) -> None:
    reader = make_reader(drawn.TRACKS if source == "grid" else drawn.OWN_TRACKS, source)
    asked: list[int] = []

    def count(texts: list[str]) -> list[np.ndarray]:
        asked.append(len(texts))
        return text_tokens(texts)

    others = choose_other_texts(dataset.expressions, seed=42)
    scorer = SelectorScorer(selector, count)
    score_expressions(scorer, TrackSources([reader]), dataset.expressions, others=others)

    assert asked == num_texts


def test_scores_are_written_with_their_tracks_and_provenance(
    dataset: SimpleNamespace, sources: TrackSources, scores: Scores, tmp_path: Path
) -> None:
    path = tmp_path / "new" / "scores.json"
    split = ScoredSplit(dataset, sources, scores, {"dataset": "drawn"})

    split.save_scores(path)

    written = json.loads(path.read_text())
    assert written["provenance"] == {"dataset": "drawn"}
    assert {key: video["tracks"] for key, video in written["videos"].items()} == scores.tracks
    for (video_id, expression_id), by_text in scores.by_expression.items():
        found = written["videos"][video_id]["expressions"][expression_id]
        assert found["scores"].keys() == by_text.keys()
        for text_id, row in by_text.items():
            assert dict(zip(found["tracks"], found["scores"][text_id], strict=True)) == row
    assert [file.name for file in path.parent.iterdir()] == ["scores.json"]


def test_track_is_selected_above_the_threshold_and_not_at_it() -> None:
    one, other = drawn.EXPRESSIONS[:2]
    by_text = {"0": {2: 0.5, 5: 0.50001, 7: 0.2}, "1": {2: 0.2, 5: 0.50001, 7: 0.5}}
    scores = Scores({("v1", "0"): by_text, ("v1", "1"): {"1": {}}}, {})

    assert scores.select(one, 0.5) == (5,)
    assert scores.select(one, 0.1) == (2, 5, 7)
    assert scores.row(one, text_id="1") == pytest.approx({2: 0.2, 5: 0.50001, 7: 0.5})
    assert scores.select(one, 0.3, text_id="1") == (5, 7)
    assert scores.select(other, 0.1) == ()
    with pytest.raises(KeyError):
        scores.row(other, text_id="0")
