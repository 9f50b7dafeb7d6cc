"""Scores of earlier runs are reused if they are right, and computed again if they are not."""

import json
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import drawn_split as drawn
import pytest

from sola.evaluation import scores
from sola.evaluation.run import run_evaluation
from sola.evaluation.scores import Scores, write_cached

MakeConfig = Callable[..., Any]


@pytest.fixture
def scored(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """One entry for every time that a split was scored."""
    found: list[str] = []
    score = scores.score_expressions

    def score_and_note(*args: Any, **kwargs: Any) -> Scores:
        found.append("scores")
        return score(*args, **kwargs)

    monkeypatch.setattr(scores, "score_expressions", score_and_note)
    return found


def cached(config: Any) -> list[Path]:
    folder = Path(config.paths.data_dir) / "cache" / "drawn" / "valid_u" / "scores"
    return list(folder.glob("*.json"))


def test_another_threshold_reuses_scores(
    evaluate_config: MakeConfig, scored: list[str], tmp_path: Path
) -> None:
    first = run_evaluation(evaluate_config(threshold=0.5))
    written = json.loads((tmp_path / "output" / "scores.json").read_text())

    second = run_evaluation(evaluate_config(threshold=0.0))

    assert scored == ["scores"]
    assert json.loads((tmp_path / "output" / "scores.json").read_text()) == written
    (path,) = cached(evaluate_config())
    path.unlink()
    assert run_evaluation(evaluate_config(threshold=0.0)) == second
    assert run_evaluation(evaluate_config(threshold=0.5)) == first
    assert first["curve"] == second["curve"]


def change_checkpoint(config: Any) -> None:
    drawn._write_checkpoint(Path(config.ckpt_path), 4, {"note": "another"})


def change_tracks(config: Any) -> None:
    (path,) = (Path(config.paths.data_dir) / "tracks").rglob("grid/tiny/*.h5")
    os.utime(path, ns=(1, 1))


def change_text(config: Any) -> None:
    path = Path(config.dataset.root) / "valid_u" / "meta_expressions.json"
    path.write_text(path.read_text().replace("the large one", "the huge one"))


def change_masks(config: Any) -> None:
    path = Path(config.dataset.root) / "valid_u" / "mask_dict.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "1": drawn.LARGE}))


@pytest.mark.parametrize(
    ("change", "is_scored_again"),
    [
        (change_checkpoint, True),
        (change_tracks, True),
        (change_text, True),
        (change_masks, False),
        (lambda config: setattr(config, "sources", ["gdino"]), True),
        (lambda config: setattr(config.text_encoder, "name", "b"), True),
    ],
)
def test_scores_are_computed_again_when_their_inputs_change(
    evaluate_config: MakeConfig,
    scored: list[str],
    change: Callable[[Any], None],
    is_scored_again: bool,
) -> None:
    config = evaluate_config(trained_with=None)
    run_evaluation(config)

    change(config)
    run_evaluation(config)

    assert len(scored) == 1 + is_scored_again


@pytest.mark.fault
@pytest.mark.parametrize("damage", ["cut off", "digit", "list", "no JSON"])
def test_damaged_scores_are_computed_again(
    evaluate_config: MakeConfig,
    scored: list[str],
    caplog: pytest.LogCaptureFixture,
    damage: str,
    fault: Callable[..., None],
) -> None:
    first = run_evaluation(evaluate_config())
    (path,) = cached(evaluate_config())
    content = path.read_bytes()
    damaged = {
        "cut off": content[:-20],
        "digit": content.replace(b" 0.", b" 1.", 1),
        "list": b"[]",
        "no JSON": b"\xff\x00",
    }
    path.write_bytes(damaged[damage])

    with caplog.at_level(logging.WARNING):
        second = run_evaluation(evaluate_config())

    assert second == first
    assert len(scored) == 2
    (message,) = caplog.messages
    assert message.startswith(f"{path}: damaged")
    assert path.read_bytes() == content
    happened = "a warning; computed again, the numbers are the same"
    fault("Evaluation", f"cached scores that are damaged ({damage})", happened)


def test_oldest_scores_are_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scores, "MAX_CACHED", 2)
    paths = [tmp_path / f"{number}.json" for number in range(3)]
    for number, path in enumerate(paths):
        write_cached(path, Scores({}, {}))
        os.utime(path, (number, number))

    write_cached(paths[0], Scores({}, {}))

    assert set(tmp_path.iterdir()) == {paths[0], paths[2]}


@pytest.mark.fault
def test_cache_that_cannot_be_written_is_a_warning(
    evaluate_config: MakeConfig,
    caplog: pytest.LogCaptureFixture,
    tmp_path: Path,
    fault: Callable[..., None],
) -> None:
    config = evaluate_config()
    (tmp_path / "data" / "cache").write_text("a file")

    with caplog.at_level(logging.WARNING):
        assert run_evaluation(config)["num_expressions"] == 5

    assert "cannot be cached" in caplog.messages[0]
    happened = "a warning; all numbers, nothing cached"
    fault("Evaluation", "a cache that cannot be written", happened)
