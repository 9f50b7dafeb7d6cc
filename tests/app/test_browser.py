"""``sola app`` in a browser: a user uploads a clip, asks, and looks at the answer."""

import io
import json
import zipfile
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import quote, urlsplit
from urllib.request import Request

import pytest
from browser import OPENER, Browser

pytestmark = pytest.mark.slow

TEXTS = ["the white block, moving right", "</script><b>the red</b> & ${corner}: [a, 'b']"]
INNER = "document.querySelector('iframe').contentDocument"
DRAWN = f"{INNER}?.querySelector('#picture')?.dataset.drawn"
STATUS = "document.querySelector('#status textarea').value"
SELECTED = f"[...{INNER}.querySelectorAll('.track.chosen')].map((row) => Number(row.dataset.track))"
Server = tuple[str, Path]


def _status_of(address: str, body: bytes | None = None, **headers: str) -> int:
    try:
        with OPENER.open(Request(address, body, headers), timeout=30) as answer:
            return int(answer.status)
    except HTTPError as error:
        with error:
            return error.code


def _post(address: str, content: Any) -> Any:
    request = Request(address, json.dumps(content).encode(), {"Content-Type": "application/json"})
    with OPENER.open(request, timeout=30) as answer:
        return json.load(answer)


@pytest.fixture(scope="module")
def asked(browser: Browser, server: Server, clip: Path) -> Browser:
    """The page after an upload, two sentences and a click."""
    browser.errors()
    browser.emulate(1280, 1000)
    browser.visit(server[0])
    browser.wait("document.querySelector('button#find')")
    browser.wait("document.querySelector('input[type=file]')")
    browser.type("input[type=file]", str(clip))
    browser.wait("document.querySelector('video[src]')")
    browser.type("#sentences textarea", "\n".join(TEXTS))
    browser.click("#find")
    browser.wait(f"{STATUS}.startsWith('Done') || {STATUS}.startsWith('Error')")
    assert browser.run(f"return {STATUS}").startswith("Done"), browser.run(f"return {STATUS}")
    browser.wait(DRAWN)
    return browser


@pytest.fixture
def answer(asked: Browser) -> Browser:
    """The answer, stopped at its first frame, with the threshold of the run."""
    asked.emulate(1280, 1000)
    asked.run(
        f"const page = {INNER}.defaultView.eval('answer'); if (page.timer) page.play();"
        "Object.assign(page, { frame: 0, sentence: 0, alone: null, threshold: 0.5 }); page.show();"
    )
    asked.wait(f"{DRAWN}.startsWith('0/0/')")
    return asked


def _move(browser: Browser, name: str, value: float) -> None:
    browser.run(
        f"const field = {INNER}.getElementById(arguments[0]); field.value = arguments[1];"
        "field.dispatchEvent(new Event('input', { bubbles: true }));",
        name,
        value,
    )


def _prediction(browser: Browser, server: Server) -> tuple[dict[str, Any], list[str]]:
    link = browser.run(f"return {INNER}.querySelector('a[download]').href")
    with OPENER.open(link, timeout=30) as answer, zipfile.ZipFile(io.BytesIO(answer.read())) as z:
        return json.loads(z.read("prediction.json")), z.namelist()


def test_answer_shows_sentences_tracks_and_scores(answer: Browser, server: Server) -> None:
    record, names = _prediction(answer, server)

    shown = answer.run(f"return [...{INNER}.querySelectorAll('option')].map((o) => o.textContent)")
    assert shown == TEXTS
    assert [each["text"] for each in record["expressions"]] == TEXTS
    clip_id = record["clip"]["clip_id"]
    masks = [f"masks/{clip_id}/{idx}/{frame:05d}.png" for idx in range(2) for frame in range(6)]
    assert names == ["prediction.json", *masks]
    for idx, each in enumerate(record["expressions"]):
        _move(answer, "sentence", idx)
        answer.wait(f"{DRAWN}.startsWith('{idx}/0/')")
        assert sorted(answer.run(f"return {SELECTED}")) == sorted(each["selected"])
        rows = answer.run(
            f"return [...{INNER}.querySelectorAll('.track b')].map((b) => b.innerText)"
        )
        assert rows == [f"{score:.3f}" for score in sorted(each["scores"], reverse=True)]
    assert answer.errors() == []


def test_threshold_acts_at_once_and_without_the_server(answer: Browser, server: Server) -> None:
    scores = _prediction(answer, server)[0]["expressions"][0]["scores"]
    limit = (min(scores) + max(scores)) / 2
    count = f"return {INNER}.defaultView.performance.getEntriesByType('resource').length"
    before = answer.run(count)

    for threshold in (0, round(limit, 2), 1):
        _move(answer, "threshold", threshold)
        number = len([score for score in scores if score > threshold])
        assert len(answer.run(f"return {SELECTED}")) == number  # before anything is awaited
        tracks = answer.run(f"return {INNER}.defaultView.eval('answer').selected.join()")
        answer.wait(f"{DRAWN} === '0/0/{tracks}'")

    assert answer.run(count) == before


def test_click_shows_one_track_and_frames_play(answer: Browser) -> None:
    track = answer.run(f"return {INNER}.querySelector('.track:last-child').dataset.track")

    answer.run(f"{INNER}.querySelector('.track:last-child').click()")
    answer.wait(f"{DRAWN} === '0/0/{track}'")
    answer.run(f"{INNER}.querySelector('.track:last-child').click()")
    answer.wait(f"{DRAWN} !== '0/0/{track}' || {SELECTED}.includes({track})")
    _move(answer, "place", 4)
    answer.wait(f"{DRAWN}.startsWith('0/4/')")
    answer.run(f"{INNER}.getElementById('play').click()")
    answer.wait(f"{DRAWN}.startsWith('0/5/')")
    answer.wait(f"{DRAWN}.startsWith('0/0/')")
    answer.run(f"{INNER}.getElementById('play').click()")
    assert answer.run(f"return {INNER}.defaultView.eval('answer').timer") is None


@pytest.mark.parametrize("is_dark", [False, True])
def test_page_fits_a_phone_and_the_theme(answer: Browser, is_dark: bool) -> None:
    answer.emulate(360, 800, dark=is_dark)
    brightness = (
        f"{INNER}.defaultView.getComputedStyle({INNER}.body).backgroundColor"
        ".match(/\\d+/g).map(Number).reduce((sum, value) => sum + value, 0) / 3"
    )

    answer.wait("document.documentElement.scrollWidth <= 360")
    answer.wait("document.querySelector('iframe').clientWidth >= 320")
    page = f"{INNER}.documentElement"
    answer.wait(f"{page}.scrollWidth <= document.querySelector('iframe').clientWidth")
    answer.wait(f"{page}.scrollHeight <= document.querySelector('iframe').clientHeight")
    answer.wait(f"({brightness} < 60) === {str(is_dark).lower()}")
    answer.emulate(1280, 1000)  # with scroll bars that take space
    answer.wait(f"{page}.clientWidth === document.querySelector('iframe').clientWidth")
    answer.wait(f"{page}.scrollHeight <= document.querySelector('iframe').clientHeight")


def test_page_loads_nothing_from_other_hosts(answer: Browser, server: Server) -> None:
    for window in ("window", f"{INNER}.defaultView"):
        hosts = answer.run(
            f"return {window}.performance.getEntriesByType('resource')"
            ".map((entry) => new URL(entry.name)).filter((url) => url.protocol !== 'data:'"
            " && url.protocol !== 'blob:').map((url) => url.host)"
        )
        assert set(hosts) == {urlsplit(server[0]).netloc}
    with OPENER.open(server[0], timeout=30) as page:
        assert "default-src 'self'" in page.headers["Content-Security-Policy"]


def test_mistake_is_a_message(server: Server, asked: Browser) -> None:
    asked.visit(server[0])
    asked.wait("document.querySelector('button#find')")
    asked.type("#sentences textarea", "the ball")
    asked.click("#find")

    asked.wait(f"{STATUS} === 'Error: clip: choose a video first.'")
    asked.visit("about:blank")


def test_server_gives_no_other_files(server: Server, clips_dir: Path, app_words: list[str]) -> None:
    address, folder = server
    (app_dir,) = folder.glob("sola-app-*")
    weights = next(word for word in app_words if word.startswith("ckpt_path=")).split("=")[1]
    given = ["/etc/passwd", weights, f"{clips_dir}/one.mp4", f"{clips_dir}/link.mp4"]
    given += [f"{app_dir}/answers/../../../../../../etc/passwd", "pyproject.toml", str(app_dir)]
    given += ["http://example.org/", "HTTPS://example.org/"]

    for path in given:
        for name in (path, quote(path, safe="")):
            assert _status_of(f"{address}gradio_api/file={name}") in (403, 404), path
    assert _status_of(address, Host="evil.example") == 400
    assert _status_of(address) == 200


def test_files_that_were_not_uploaded_are_refused(server: Server, clips_dir: Path) -> None:
    address, _ = server
    with OPENER.open(f"{address}config", timeout=30) as answer:
        config = json.load(answer)
    (find,) = [each["id"] for each in config["dependencies"] if len(each["inputs"]) == 4]
    file = {"path": "/etc/passwd", "meta": {"_type": "gradio.FileData"}}
    for data in ([file, None, "the ball", ""], [None, "../secret.txt", "the ball", ""]):
        session = {"session_hash": f"s{len(str(data))}"}
        _post(f"{address}gradio_api/queue/join", {"data": data, "fn_index": find, **session})
        stream = f"{address}gradio_api/queue/data?session_hash={session['session_hash']}"
        with OPENER.open(stream, timeout=60) as events:
            lines = [json.loads(line[6:]) for line in events if line.startswith(b"data: ")]
        (end,) = [each for each in lines if each["msg"] == "process_completed"]
        assert "answers" not in json.dumps(end)
        assert not end["success"] or "Error: " in json.dumps(end)


def test_large_upload_is_refused(server: Server) -> None:
    body = b"\r\n".join(
        [
            b"--x",
            b'Content-Disposition: form-data; name="files"; filename="a.mp4"',
            b"Content-Type: video/mp4",
            b"",
            bytes(2 * 2**20),
            b"--x--",
            b"",
        ]
    )
    headers = {"Content-Type": "multipart/form-data; boundary=x"}

    assert _status_of(f"{server[0]}gradio_api/upload", body, **headers) == 413
