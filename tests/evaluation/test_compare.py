"""Two runs against each other, every number worked out by hand."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from sola.errors import UserError
from sola.evaluation.compare import compare, main, read_run

JF = {("v1", "0"): 0.5, ("v1", "1"): 0.5, ("v2", "0"): 0.2, ("v3", "0"): 0.4}


def evaluation(changes: dict[tuple[str, str], float] | None = None) -> dict[str, Any]:
    """F is J; expressions "0" are of kind "one", "1" of kind "other"."""
    return {
        "dataset": "drawn",
        "split": "valid_u",
        "threshold": 0.5,
        "expressions": [
            {
                "video": video,
                "expression": number,
                "text": "it",
                "kind": {"0": "one", "1": "other"}[number],
                "objects": ["1"],
                "groups": {"objects": "1"},
                "answers": {"selection": {"J": jf, "F": jf, "J&F": jf}},
            }
            for (video, number), jf in (JF | (changes or {})).items()
        ],
    }


BETTER = evaluation({("v1", "0"): 0.7, ("v1", "1"): 0.9, ("v2", "0"): 0.4, ("v3", "0"): 0.3})
"""v1: +0.2 and +0.4; v2: +0.2; v3: -0.1."""


def run(folder: Path, content: dict[str, Any]) -> Path:
    folder.mkdir()
    (folder / "evaluation.json").write_text(json.dumps(content))
    return folder


@pytest.fixture
def runs(tmp_path: Path) -> tuple[Path, Path]:
    return run(tmp_path / "a", evaluation()), run(tmp_path / "b", BETTER)


def test_differences_are_paired_by_expression_and_judged_by_video(runs: tuple[Path, Path]) -> None:
    found = compare(*map(read_run, runs), "selection")

    whole = found["all"]
    assert whole["difference"]["J&F"] == pytest.approx(0.7 / 4)
    assert (whole["a"]["J"], whole["b"]["J"]) == pytest.approx((1.6 / 4, 2.3 / 4))
    # sums 0.6, 0.2, -0.1: of the 8 choices of signs those of at least 0.7 are +++, ++- and theirs
    assert whole["p"]["J&F"] == 4 / 8
    # all three draws the same video: v3 alone -0.1 (1 of 27), v1 alone 0.3 (1 of 27)
    assert whole["interval"]["J&F"] == pytest.approx([-0.1, 0.3])
    assert (whole["num_expressions"], whole["num_videos"]) == (4, 3)
    one, other = found["by_kind"]["one"], found["by_kind"]["other"]
    assert one["difference"]["J&F"] == pytest.approx(0.1)
    assert (other["interval"], other["p"]["J&F"]) == (None, 1)
    assert found["by_group"]["objects"]["1"] == whole
    assert found["a"]["threshold"] == 0.5


def test_other_way_round_only_signs_change(runs: tuple[Path, Path]) -> None:
    a, b = map(read_run, runs)

    there, back = compare(a, b, "selection")["all"], compare(b, a, "selection")["all"]

    assert there["p"] == back["p"]
    assert there["difference"]["J"] == -back["difference"]["J"]
    assert there["interval"]["J"] == [-end for end in reversed(back["interval"]["J"])]


def test_run_equals_itself(runs: tuple[Path, Path]) -> None:
    a = read_run(runs[0])

    whole = compare(a, a, "selection")["all"]

    assert (whole["difference"]["J"], whole["interval"]["J"], whole["p"]["J"]) == (0, [0, 0], 1)


def test_command_prints_and_writes_only_when_asked(
    runs: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = [str(path) for path in runs]
    before = sorted(tmp_path.rglob("*"))

    with pytest.raises(SystemExit) as ended:
        main(names)
    assert ended.value.code == 0
    assert sorted(tmp_path.rglob("*")) == before
    printed = capsys.readouterr().out
    assert "+17.5 [-10.0, +30.0]" in printed
    assert "0.5000" in printed
    assert f"B: {runs[1]}" in printed
    with pytest.raises(SystemExit):
        main([*names, "--json", str(tmp_path / "comparison.json")])
    written = json.loads((tmp_path / "comparison.json").read_text())
    assert written == compare(*map(read_run, runs), "selection")


def without_one(content: dict[str, Any]) -> None:
    del content["expressions"][2]


def other_text(content: dict[str, Any]) -> None:
    content["expressions"][1]["text"] = "that"


def other_objects(content: dict[str, Any]) -> None:
    content["expressions"][0]["objects"] = ["2"]


def of_another_split(content: dict[str, Any]) -> None:
    content["split"] = "tune"


def of_an_earlier_version(content: dict[str, Any]) -> None:
    for entry in content["expressions"]:
        del entry["answers"]


@pytest.mark.parametrize(
    ("spoil", "named"),
    [
        (of_another_split, "/b: .*drawn/tune.*/a.*drawn/valid_u"),
        (
            without_one,
            "expression 0 of video v2",
        ),
        (other_text, "expression 1 of video v1.*'it'.*'that'"),
        (other_objects, r"expression 0 of video v1.*\['1'\]"),
        (of_an_earlier_version, r"evaluation\.json: "),
    ],
)
def test_runs_that_cannot_be_paired_are_refused(tmp_path: Path, spoil: Any, named: str) -> None:
    content = copy.deepcopy(BETTER)
    spoil(content)
    a, b = run(tmp_path / "a", evaluation()), run(tmp_path / "b", content)

    with pytest.raises(UserError, match=named):
        compare(read_run(a), read_run(b), "selection")


def test_missing_answer_or_folder_is_reported(
    runs: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(UserError, match=r"'oracle'.*selection"):
        compare(*map(read_run, runs), "oracle")
    with pytest.raises(SystemExit) as ended:
        main([str(runs[0]), str(tmp_path / "nowhere")])
    assert ended.value.code == 1
    assert str(tmp_path / "nowhere") in capsys.readouterr().err
