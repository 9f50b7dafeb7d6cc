"""Runs of the page without a browser."""

import json
import logging
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from sola.app.options import AppOptions
from sola.app.server import Answerer, _launch
from sola.errors import UserError


@pytest.fixture
def answerer(app_words: list[str], clips_dir: Path, tmp_path: Path) -> Answerer:
    return Answerer(app_words, AppOptions(folder=str(clips_dir)), tmp_path)


def test_missing_gradio_is_one_message(answerer: Answerer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gradio", None)

    with pytest.raises(UserError, match=r"pip install 'sola-rvos\[app\]'"):
        _launch(answerer, answerer.options)


def test_missing_checkpoint_is_reported_at_start(tmp_path: Path) -> None:
    words = ["tracker=small", f"ckpt_path={tmp_path / 'none.ckpt'}"]

    with pytest.raises(UserError, match="ckpt_path"):
        Answerer(words, AppOptions(), tmp_path)


@pytest.mark.parametrize(
    ("request_", "named"),
    [
        ((None, None, "the ball", ""), "clip: "),
        ((None, "one.mp4", " ", ""), "sentences: "),
        ((None, "one.mp4", "the ball", "2"), "threshold: "),
        ((None, "../secret.txt", "the ball", ""), "secret.txt: "),
        (("/etc/passwd", None, "the ball", ""), "passwd: "),
    ],
)
def test_mistakes_are_shown_in_the_page(
    answerer: Answerer, request_: tuple[Any, ...], named: str
) -> None:
    *_, (status, page) = answerer.respond(*request_)

    assert status.startswith(f"Error: {named}")
    assert page == ""


def test_bug_is_logged_and_not_shown(
    answerer: Answerer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*request: Any) -> Path:
        raise RuntimeError("details of the bug")

    monkeypatch.setattr(answerer, "answer", fail)
    with caplog.at_level(logging.ERROR):
        *_, (status, _) = answerer.respond(None, "one.mp4", "the ball", "")

    assert "see the terminal" in status
    assert "details" not in status
    assert "RuntimeError: details of the bug" in caplog.text


def test_progress_has_no_folders(
    answerer: Answerer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    was_shown = threading.Event()

    def answer(*request: Any) -> Path:
        logging.getLogger("sola.x").warning("%s: reading 1/2 of it", tmp_path / "a.mp4")
        logging.getLogger("other").warning("unrelated")
        assert was_shown.wait(30)
        return tmp_path / 'a"b' / "index.html"

    monkeypatch.setattr(answerer, "answer", answer)
    texts, pages = [], []
    for status, page in answerer.respond(None, "one.mp4", "the ball", ""):
        texts.append(status)
        pages.append(page)
        if "reading" in status:
            was_shown.set()

    assert texts[-2].endswith("\na.mp4: reading 1/2 of it")
    assert str(tmp_path) not in "".join(texts)
    assert "unrelated" not in "".join(texts)
    assert 'a&quot;b/index.html"' in pages[-1]


@pytest.mark.slow
def test_folder_of_images_is_answered(answerer: Answerer) -> None:
    page = answerer.answer(None, "images", "the white block\nthe red corner", "0.9")

    script = (page.parent / "data.js").read_text()
    content = json.loads(script.removeprefix("answer.open(").rstrip().removesuffix(");"))
    assert page.is_relative_to(answerer.answers_dir)
    assert content["threshold"] == 0.9
    assert len(content["frames"]) == 3
    assert [each["text"] for each in content["sentences"]] == ["the white block", "the red corner"]
    assert content["tracks"], "nothing is tracked: nothing is tested"
    assert not list(answerer.runs_dir.iterdir())
