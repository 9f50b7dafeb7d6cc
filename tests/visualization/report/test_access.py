"""The report for everyone: read, heard, and gone through by keys."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browser import Browser

from sola.visualization.report import write_page

LEAST_CONTRAST, LEAST_EDGE_CONTRAST = 4.5, 3.0
"""WCAG 2.2 AA, 1.4.3 and 1.4.11."""
CONTRAST = """
const parts = (colour) => colour.match(/[\\d.]+/g).map(Number);
const light = (colour) => parts(colour).slice(0, 3)
  .map((part) => part / 255).map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
  .reduce((sum, c, at) => sum + c * [0.2126, 0.7152, 0.0722][at], 0);
const contrast = (one, other) => {
  const [dark, bright] = [light(one), light(other)].sort((a, b) => a - b);
  return (bright + 0.05) / (dark + 0.05);
};
const isClear = (colour) => parts(colour)[3] === 0;
const behind = (element) => {
  for (let at = element; at; at = at.parentElement) {
    const { backgroundColor } = getComputedStyle(at);
    if (at.matches("svg.plot")) return getComputedStyle(at.querySelector("path")).fill;
    if (!isClear(backgroundColor)) return backgroundColor;
  }
  return "rgb(255, 255, 255)";
};
"""
WORDS = f"""{CONTRAST}
return [...document.querySelectorAll("body *")]
  .filter((e) => e.checkVisibility() &&
    [...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim()))
  .map((e) => {{
    const style = getComputedStyle(e);
    const colour = e.closest("svg") ? style.fill : style.color;
    return [`${{e.tagName}}: ${{e.textContent.slice(0, 30)}}`, contrast(colour, behind(e))];
  }});
"""
EDGES = f"""{CONTRAST}
return [...document.querySelectorAll("button:not(.card, .track), input, select")]
  .filter((e) => e.checkVisibility() && e.type !== "range")
  .map((e) => [e.id, contrast(getComputedStyle(e).borderTopColor, behind(e.parentElement))]);
"""
FOCUS = f"""{CONTRAST}
const e = document.activeElement;
const {{ outlineStyle, outlineWidth, outlineColor }} = getComputedStyle(e);
const box = e.getBoundingClientRect();
const [x, y] = [box.left + box.width / 2, box.top + Math.min(box.height, 40) / 2];
const top = document.elementFromPoint(x, y);
const {{ mode, expression, track }} = e.dataset;
return [
  e.id || mode || expression || track || e.getAttribute("href") || e.textContent,
  outlineStyle === "solid" && parseFloat(outlineWidth) >= 2 &&
    contrast(outlineColor, behind(e.parentElement)) >= 3,
  e.contains(top) || Boolean(top?.contains(e)),
];
"""
CONTROLS = ("button", "slider", "combobox", "searchbox", "spinbutton", "link", "image", "dialog")
DRAWN = "document.getElementById('panels').dataset.drawn"


@pytest.fixture
def page(browser: Browser, report_dir: Path) -> Iterator[Browser]:
    """The report of the drawn split, just loaded on a desktop."""
    browser.errors()
    browser.emulate(1200, 900)
    browser.open(Path("/dev/null"))
    browser.open(report_dir / "index.html")
    browser.wait("report.entries.length")
    yield browser
    assert browser.errors() == []


@pytest.mark.parametrize("is_dark", [False, True])
def test_text_and_edges_have_enough_contrast(page: Browser, is_dark: bool) -> None:
    page.emulate(1200, 900, dark=is_dark)
    page.run("for (const part of document.querySelectorAll('details')) part.open = true")
    words, edges = page.run(WORDS), page.run(EDGES)
    page.click("#cards .card:nth-child(1)")
    page.wait(DRAWN)
    words, edges = words + page.run(WORDS), edges + page.run(EDGES)

    assert len(words) > 100
    assert {"text", "sort", "theme", "play"} <= {name for name, _ in edges}
    assert [word for word in words if word[1] < LEAST_CONTRAST] == []
    assert [edge for edge in edges if edge[1] < LEAST_EDGE_CONTRAST] == []
    page.press("Escape")


def walk(page: Browser) -> dict[str, tuple[bool, bool]]:
    """By what Tab leads to: whether it is marked, and not covered; until it comes around."""
    found: dict[str, tuple[bool, bool]] = {}
    for _ in range(60):
        page.press("Tab")
        if page.run("return document.activeElement === document.body"):
            break
        name, is_marked, is_seen = page.run(FOCUS)
        if name in found:
            break
        found[name] = is_marked, is_seen
    return found


def test_tab_reaches_everything_and_focus_is_visible(page: Browser) -> None:
    found = walk(page)
    fields = {"text", "sort", "choose-kind", "show-all"}
    assert {"#gallery", "theme", *fields, "0", "4"} <= found.keys()
    page.run("document.querySelector('#cards .card').click()")
    page.wait(DRAWN)
    in_viewer = walk(page)
    assert {"before", "close", "difference", "play", "place", "speed", "0"} <= in_viewer.keys()

    for name, (is_marked, is_seen) in (found | in_viewer).items():
        assert is_marked, name
        assert is_seen, name
    page.press("Escape")


def test_controls_have_names(page: Browser) -> None:
    on_page = page.names()
    page.click("#cards .card:nth-child(1)")
    page.wait(DRAWN)
    in_viewer = page.names()

    for role, name in on_page + in_viewer:
        if role in CONTROLS:
            assert any(letter.isalnum() for letter in name), (role, name)
    landmarks = {"banner", "main", "navigation", "region"}
    assert landmarks <= {role for role, _ in on_page}
    named = {("region", "Plots"), ("region", "Expressions"), ("navigation", "sections")}
    assert named <= set(on_page)
    play, frame = ("button", "play"), ("image", "frame 00000, ground truth")
    assert {play, frame, ("button", "close"), ("slider", "frame")} <= set(in_viewer)
    assert {role for role, _ in on_page} >= {"status"}  # the number of expressions shown
    page.press("Escape")


def test_focused_control_keeps_its_keys(page: Browser) -> None:
    page.click("#cards .card:nth-child(1)")
    page.wait(DRAWN)
    page.click("#modes [data-mode=selection]")
    page.press("Tab", " ")
    assert page.run("return [viewer.mode, viewer.timer]") == ["difference", None]
    page.run("document.getElementById('speed').focus()")
    page.press("ArrowDown")
    assert page.run("return [viewer.entry.idx, document.getElementById('speed').value]") == [
        page.run("return report.shown[0].idx"),
        "12",
    ]

    page.click("#modes [data-mode=truth]")  # by hand: space plays as anywhere
    page.press(" ")
    assert page.run("return [viewer.mode, viewer.timer !== null]") == ["truth", True]
    assert page.run("return document.getElementById('play').ariaLabel") == "stop"
    page.press(" ", "Escape")


def test_page_has_no_animation(page: Browser) -> None:
    page.click("#cards .card:nth-child(1)")
    page.wait(DRAWN)

    assert page.run("return document.getAnimations().length") == 0
    assert page.run("return viewer.timer") is None
    assert page.run("return getComputedStyle(document.documentElement).scrollBehavior") == "auto"
    page.press("Escape")


ODD = [
    "x" * 3000,
    "word " * 600,
    "<img src=x onerror='document.title=1'> &amp; </script> \"quoted\"",
    "الشيء الأحمر الذي يتحرك",
    "左へ動く赤い物 🟥\u2028 and \ud83d",
]


@pytest.mark.parametrize("width_px", [390, 1440])
def test_odd_sentences_are_shown_unchanged(
    width_px: int, browser: Browser, report_dir: Path, evaluation: dict[str, Any], tmp_path: Path
) -> None:
    folder = tmp_path / "report"
    shutil.copytree(report_dir, folder)
    index = (folder / "data" / "index.js").read_text()
    entries = json.loads(index.removeprefix("report.open(").removesuffix(");\n"))["expressions"]
    for entry, text in zip(entries, ODD, strict=True):
        entry["text"] = text
    write_page(folder, evaluation, {}, entries)
    browser.errors()
    browser.emulate(width_px, 844)
    browser.open(folder / "index.html")
    browser.wait("report.entries.length")

    assert browser.run("return document.documentElement.scrollWidth") <= width_px
    for idx, text in enumerate(ODD):
        browser.run(f"document.querySelector('#cards .card[data-expression=\"{idx}\"]').click()")
        browser.wait(f"viewer.entry.idx === {idx} && {DRAWN}")
        sentence, is_rtl, top_px, viewer_px = browser.run(
            "const sentence = document.getElementById('sentence');"
            "return [JSON.stringify(sentence.textContent), sentence.matches(':dir(rtl)'),"
            "document.querySelector('dialog .top').offsetHeight,"
            "document.getElementById('viewer').scrollWidth];"
        )
        assert sentence == browser.run(
            "return JSON.stringify(report.entries[arguments[0]].text)", idx
        )
        assert is_rtl == text.startswith("ا")
        assert top_px < 844 / 3
        assert viewer_px <= width_px
        browser.press("Escape")
        browser.wait("!document.getElementById('viewer').open")
    assert browser.run("return document.title") != "1"
    assert browser.errors() == []
