"""Two runs in one report."""

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from browser import Browser

from sola.evaluation.run import EVALUATION_FILE
from sola.files import write_json
from sola.visualization.report import run_report
from sola.visualization.report.against import check_other_run, compare_with, comparison_section

KEYS = [("v1", "0"), ("v1", "1"), ("v1", "2"), ("v1", "3"), ("v2", "0")]


@pytest.fixture
def other_run(evaluation: dict[str, Any], tmp_path: Path) -> dict[str, Any]:
    """A run that answers each expression by the oracle."""
    other = copy.deepcopy(evaluation)
    for entry in other["expressions"]:
        entry["answers"]["selection"] = entry["answers"]["oracle"]
    return other


def test_answers_of_the_other_run_stand_beside_ours(
    evaluation: dict[str, Any], other_run: dict[str, Any], tmp_path: Path
) -> None:
    write_json(tmp_path / EVALUATION_FILE, other_run)

    found = compare_with(tmp_path, evaluation, Path("ours"))

    assert list(found["answers"]) == KEYS
    for entry in evaluation["expressions"]:
        key = entry["video"], entry["expression"]
        assert found["answers"][key] == entry["answers"]["oracle"]
    lost = evaluation["results"]["selection"]["J&F"] - evaluation["results"]["oracle"]["J&F"]
    assert found["all"]["difference"]["J&F"] == pytest.approx(lost)
    section = comparison_section(found)
    assert f"<td>{100 * lost:+.1f}" in section
    assert section.index("objects: 0") < section.index("objects: 1") < section.index("objects: 2")


@pytest.mark.parametrize("change", ["tracker", "tracks", "predictions"])
def test_masks_of_other_tracks_are_not_shown(
    change: str, evaluation: dict[str, Any], other_run: dict[str, Any], tmp_path: Path
) -> None:
    for entry in other_run["expressions"]:
        if change == "tracks":
            entry["answers"]["all_tracks"]["tracks"] = [7]
        if change == "predictions":
            scores = entry["answers"]["selection"]
            entry["answers"] = {"selection": {k: v for k, v in scores.items() if k != "tracks"}}
    if change == "tracker":
        other_run["tracks"][0]["checkpoint_sha256"] = "another"
    if change == "predictions":
        del other_run["tracks"]
    write_json(tmp_path / EVALUATION_FILE, other_run)

    found = compare_with(tmp_path, evaluation, Path("ours"))

    for entry in evaluation["expressions"]:
        answer = found["answers"][entry["video"], entry["expression"]]
        assert answer == {**entry["answers"]["oracle"], "tracks": None}


def test_a_run_that_is_not_there_is_named(evaluation: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"evaluation\.json: not found\. Give the output folder"):
        compare_with(tmp_path, evaluation, Path("ours"))


def test_a_run_that_cannot_be_compared_is_told_before_anything_is_measured(
    drawn_config: Any, other_run: dict[str, Any], tmp_path: Path
) -> None:
    against = replace(drawn_config, report_against=str(tmp_path))
    check_other_run(drawn_config)
    with pytest.raises(ValueError, match=r"evaluation\.json: not found"):
        check_other_run(against)
    write_json(tmp_path / EVALUATION_FILE, other_run)
    check_other_run(against)
    write_json(tmp_path / EVALUATION_FILE, other_run | {"split": "tune"})
    with pytest.raises(ValueError, match=r"this run: was measured on .*, .* on .*/tune"):
        check_other_run(against)


def test_the_page_shows_both_runs(
    browser: Browser,
    report_dir: Path,
    drawn_config: Any,
    evaluation: dict[str, Any],
    other_run: dict[str, Any],
    tmp_path: Path,
) -> None:
    write_json(tmp_path / EVALUATION_FILE, other_run)
    scores = (report_dir.parent / "scores.json").read_bytes()
    output_dir = tmp_path / "output"
    output_dir.mkdir()
    (output_dir / "scores.json").write_bytes(scores)
    config = replace(
        drawn_config,
        report_against=str(tmp_path),
        paths=replace(drawn_config.paths, output_dir=str(output_dir)),
    )

    page = run_report(config, evaluation)

    browser.errors()
    browser.emulate(1200, 900)
    browser.open(page)
    browser.wait("report.entries.length")
    browser.run("document.getElementById('sort').value = 'lost'; report.filter();")
    lost = {
        idx: entry["answers"]["selection"]["J&F"] - entry["answers"]["oracle"]["J&F"]
        for idx, entry in enumerate(evaluation["expressions"])
    }
    shown = browser.run("return report.shown.map((entry) => entry.idx)")
    assert shown == sorted(lost, key=lambda idx: lost[idx])
    cards = browser.run(
        "return [...document.querySelectorAll('.card b')].map((b) => b.textContent)"
    )
    signs = [f"({100 * lost[idx]:+.1f})" for idx in shown]
    assert [card.partition(" (")[2] for card in cards] == [sign[1:] for sign in signs]
    assert "Against another run" in browser.run("return document.body.textContent")
    browser.click(".card:nth-child(1)")
    browser.wait("document.getElementById('panels').dataset.drawn")
    browser.press("7")
    assert browser.run("return document.querySelector('#panels canvas').dataset.mode") == "other"
    browser.press("Escape")
    browser.open(report_dir / "index.html")  # without another run
    browser.wait("report.entries.length")
    browser.click(".card:nth-child(1)")
    browser.wait("document.getElementById('panels').dataset.drawn")
    browser.press("7")
    assert browser.run("return viewer.mode") == "all"
    assert browser.errors() == []
