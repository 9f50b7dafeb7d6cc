"""run_evaluation on files: a data set, shards and a checkpoint in, numbers with names out."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sola.evaluation.run import run_evaluation

EXPECTED_NAMES = {
    "dataset",
    "split",
    "protocol",
    "threshold",
    "checkpoint",
    "tracks",
    "text_encoder",
    "versions",
    "seed",
}


def test_numbers_come_with_their_names(
    evaluate_config: Callable[..., Any], capsys: pytest.CaptureFixture[str]
) -> None:
    config = evaluate_config()

    evaluation = run_evaluation(config)

    output_dir = Path(config.paths.output_dir)
    written = json.loads((output_dir / "evaluation.json").read_text())
    assert written.keys() >= EXPECTED_NAMES
    assert {key: written[key] for key in evaluation} == evaluation
    assert len(written["checkpoint"]["sha256"]) == 64
    assert written["checkpoint"]["path"] == config.ckpt_path
    assert written["tracks"][0]["dir"].endswith("tracks/drawn/valid_u/grid/tiny")
    assert written["num_expressions"] == written["results"]["selection"]["num_expressions"] == 5
    assert (written["num_videos"], written["num_videos_without_tracks"]) == (2, 1)
    assert written["results"]["oracle"]["J"] == pytest.approx(4 / 5)
    assert [point["threshold"] for point in written["curve"]] == [i / 10 for i in range(1, 10)]
    videos = json.loads((output_dir / "scores.json").read_text())["videos"]
    for entry in written["expressions"]:
        row = videos[entry["video"]]["scores"][entry["expression"]]
        assert entry["answers"]["selection"]["tracks"] == [i for i, s in enumerate(row) if s > 0.5]
    printed = capsys.readouterr().out
    for text in ("drawn/valid_u, threshold 0.5", "largest track", "by kind", "3 of 5 expressions"):
        assert text in printed


def test_a_second_run_gives_the_same_numbers(evaluate_config: Callable[..., Any]) -> None:
    first = run_evaluation(evaluate_config())

    assert run_evaluation(evaluate_config()) == first


def test_a_split_without_ground_truth_is_refused(evaluate_config: Callable[..., Any]) -> None:
    config = evaluate_config()
    (Path(config.dataset.root) / "valid_u" / "mask_dict.json").unlink()

    with pytest.raises(ValueError, match=r"valid_u of drawn has no ground truth .*predict\.py"):
        run_evaluation(config)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"ckpt_path": "nowhere.ckpt"}, "nowhere.ckpt"),
        ({"sources": []}, r"sources=\[\]"),
        (
            {"sources": ["gt"]},
            "Make them with: python generate.py dataset=drawn split=valid_u prompt_source=gt "
            "tracker=tiny",
        ),
        ({"text_dim": 16}, "text tokens of width 8, .* have 16"),
        ({"token_dim": 6}, "object tokens of width 6, .* have 4"),
        ({"trained_on": "another"}, r"trained on object tokens .* \(sha256 another\)"),
        ({"trained_with": "another"}, "trained on text_encoder=another"),
        ({"accelerator": "gpu"}, "no CUDA device"),
    ],
)
def test_what_does_not_fit_is_named(
    evaluate_config: Callable[..., Any],
    changes: dict[str, Any],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)

    with pytest.raises(ValueError, match=message):
        run_evaluation(evaluate_config(**changes))
