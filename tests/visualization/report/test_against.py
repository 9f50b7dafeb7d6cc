"""Two runs in one report."""

import copy
from pathlib import Path
from typing import Any

import pytest
from browser import Browser

from sola.errors import UserError
from sola.evaluation.run import EVALUATION_FILE
from sola.evaluation.scores import ScoredSplit
from sola.files import write_json
from sola.visualization.report import answers_of, check_other_run, write_report

KEYS = [("v1", "0"), ("v1", "1"), ("v1", "2"), ("v1", "3"), ("v2", "0")]


@pytest.fixture
def other_run(evaluation: dict[str, Any], tmp_path: Path) -> dict[str, Any]:
    """A run that answers each expression by the oracle."""
    other = copy.deepcopy(evaluation)
    for entry in other["expressions"]:
        entry["answers"]["selection"] = entry["answers"]["oracle"]
    return other


@pytest.mark.parametrize("change", [None, "tracker", "tracks", "predictions"])
def test_other_masks_are_shown_only_if_the_tracks_are_the_same(
    change: str | None, evaluation: dict[str, Any], other_run: dict[str, Any]
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

    found = answers_of(other_run, evaluation)

    assert list(found) == KEYS
    for entry in evaluation["expressions"]:
        expected = entry["answers"]["oracle"] | ({"tracks": None} if change else {})
        assert found[entry["video"], entry["expression"]] == expected


def test_other_run_is_checked_before_anything_is_measured(
    evaluation: dict[str, Any], other_run: dict[str, Any], tmp_path: Path
) -> None:
    own = (evaluation["dataset"], evaluation["split"])
    check_other_run(None, *own)
    with pytest.raises(UserError, match=r"evaluation\.json"):
        check_other_run(str(tmp_path), *own)
    write_json(tmp_path / EVALUATION_FILE, other_run)
    check_other_run(str(tmp_path), *own)
    with pytest.raises(UserError, match=r"this run: .*/tune"):
        check_other_run(str(tmp_path), evaluation["dataset"], "tune")


def test_page_shows_both_runs(
    browser: Browser,
    report_dir: Path,
    evaluated: tuple[ScoredSplit, dict[str, Any]],
    other_run: dict[str, Any],
    tmp_path: Path,
) -> None:
    write_json(tmp_path / EVALUATION_FILE, other_run)
    _, evaluation = evaluated

    page = write_report(tmp_path / "output", *evaluated, other_run=str(tmp_path))

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
        "return [...document.querySelectorAll('#cards .card b')].map((b) => b.textContent)"
    )
    signs = [f"({100 * lost[idx]:+.1f})" for idx in shown]
    assert [card.partition(" (")[2] for card in cards] == [sign[1:] for sign in signs]
    section = browser.run("return document.getElementById('comparison').innerText")
    difference = evaluation["results"]["selection"]["J&F"] - evaluation["results"]["oracle"]["J&F"]
    assert f"{100 * difference:+.1f}" in section
    assert "objects: 2" in section
    browser.click("#cards .card:nth-child(1)")
    browser.wait("document.getElementById('panels').dataset.drawn")
    browser.press("7")
    assert browser.run("return document.querySelector('#panels canvas').dataset.mode") == "other"
    browser.press("Escape")
    browser.open(report_dir / "index.html")  # without another run
    browser.wait("report.entries.length")
    assert not browser.run("return document.getElementById('comparison').checkVisibility()")
    browser.click("#cards .card:nth-child(1)")
    browser.wait("document.getElementById('panels').dataset.drawn")
    browser.press("7")
    assert browser.run("return viewer.mode") == "all"
    assert browser.errors() == []
