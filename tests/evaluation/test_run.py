"""run_evaluation on files: a data set, shards and a checkpoint in, numbers with names out."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sola.errors import UserError
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
    "intervals",
    "groups",
}


def test_numbers_come_with_their_provenance(
    evaluate_config: Callable[..., Any], capsys: pytest.CaptureFixture[str]
) -> None:
    config = evaluate_config()

    evaluation = run_evaluation(config)[1]

    output_dir = Path(config.paths.output_dir)
    written = json.loads((output_dir / "evaluation.json").read_text())
    assert written.keys() >= EXPECTED_NAMES
    assert written == evaluation
    assert len(written["checkpoint"]["sha256"]) == 64
    mean = written["results"]["selection"]
    assert written["protocol"]["name"] == "mevis"
    assert written["protocol"]["numbers"] == {name: mean[name] for name in ("J", "F", "J&F")}
    assert written["checkpoint"]["path"] == config.ckpt_path
    assert written["tracks"][0]["dir"].endswith("tracks/drawn/valid_u/grid/tiny")
    assert written["num_expressions"] == written["results"]["selection"]["num_expressions"] == 5
    assert (written["num_videos"], written["num_expressions_without_tracks"]) == (2, 1)
    assert written["results"]["oracle"]["J"] == pytest.approx(4 / 5)
    assert [point["threshold"] for point in written["curve"]] == [i / 100 for i in range(1, 100)]
    at_best = written["best_threshold"]
    assert at_best["J&F"] >= max(point["J&F"] for point in written["curve"])
    videos = json.loads((output_dir / "scores.json").read_text())["videos"]
    for entry in written["expressions"]:
        assert_selected(videos[entry["video"]]["expressions"][entry["expression"]], entry)
    printed = capsys.readouterr().out
    for text in (
        "drawn/valid_u, threshold 0.5",
        "protocol of mevis: J",
        "largest track",
        "by kind",
        "3 of 5 expressions",
    ):
        assert text in printed


def assert_selected(scored: dict[str, Any], entry: dict[str, Any]) -> None:
    """Answers of evaluation.json are those of the scores in scores.json."""
    texts = {"selection": entry["expression"], "other_text": entry["other_expression"]}
    for answer, text_id in texts.items():
        if text_id is not None:
            row = zip(scored["tracks"], scored["scores"][text_id], strict=True)
            assert entry["answers"][answer]["tracks"] == [idx for idx, score in row if score > 0.5]


@pytest.mark.parametrize(("sources", "oracle"), [(["gdino"], 4 / 5), (["gdino", "grid"], 1)])
def test_expressions_are_measured_with_their_own_tracks(
    evaluate_config: Callable[..., Any], sources: list[str], oracle: float
) -> None:
    config = evaluate_config(sources=sources)

    evaluation = run_evaluation(config)[1]

    videos = json.loads((Path(config.paths.output_dir) / "scores.json").read_text())["videos"]
    assert [tracks["source"] for tracks in evaluation["tracks"]] == sorted(sources, reverse=True)
    assert evaluation["results"]["oracle"]["J"] == pytest.approx(oracle)
    assert evaluation["by_source"]["gdino"]["J"] == pytest.approx(4 / 5)
    assert sorted(evaluation["by_source"]) == sorted(sources)
    assert evaluation["num_expressions_without_tracks"] == (1 if sources == ["gdino"] else 0)
    assert evaluation["results"]["other_text"]["num_expressions"] == 2
    for entry in evaluation["expressions"]:
        video = videos[entry["video"]]
        scored = video["expressions"][entry["expression"]]
        assert_selected(scored, entry)
        made_for = [video["tracks"][idx]["expression"] for idx in scored["tracks"]]
        assert set(made_for) <= {None, entry["expression"]}
        assert entry["answers"]["all_tracks"]["tracks"] == scored["tracks"]


def test_second_run_gives_the_same_numbers(evaluate_config: Callable[..., Any]) -> None:
    first = run_evaluation(evaluate_config())[1]

    assert run_evaluation(evaluate_config())[1] == first


def test_split_without_ground_truth_is_refused(evaluate_config: Callable[..., Any]) -> None:
    config = evaluate_config()
    (Path(config.dataset.root) / "valid_u" / "mask_dict.json").unlink()

    with pytest.raises(UserError, match=r"valid_u.*ground truth"):
        run_evaluation(config)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"ckpt_path": "nowhere.ckpt"}, "nowhere.ckpt"),
        ({"sources": []}, "^sources: "),
        (
            {"sources": ["gt"]},
            "python generate.py dataset=drawn split=valid_u prompt_source=gt tracker=tiny",
        ),
        ({"text_dim": 16}, "8.*16"),
        ({"token_dim": 6}, "6.*4"),
        ({"trained_on": "another"}, "sha256=another"),
        ({"trained_with": "another"}, "text_encoder=another"),
        ({"accelerator": "gpu"}, r"trainer\.accelerator"),
    ],
)
def test_parts_that_do_not_fit_are_refused(
    evaluate_config: Callable[..., Any],
    changes: dict[str, Any],
    named: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)

    with pytest.raises(UserError, match=named):
        run_evaluation(evaluate_config(**changes))
