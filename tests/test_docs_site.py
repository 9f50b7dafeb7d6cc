"""The documentation as a site, opened as files: it searches, and asks other hosts for nothing."""

import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
from browser import Browser

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
ELSEWHERE = re.compile(r"(?:[a-z]+:)?//", re.IGNORECASE)
FROM_CSS = re.compile(r"(?:url\(|@import)\s*[\"']?([^\"')\s;]+)")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet"]
    subprocess.run([*command, f"--site-dir={folder}"], cwd=ROOT, check=True)
    return folder


class Loaded(HTMLParser):
    """What a page loads by itself; a link (<a>) is for the reader to follow."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag != "a":
            self.addresses += [value for name, value in attrs if name in ("src", "href") and value]


def test_nothing_is_loaded_from_other_hosts(site: Path) -> None:
    pages, styles = list(site.rglob("*.html")), list(site.rglob("*.css"))
    assert len(pages) > 40
    assert styles
    loaded = [(page, address) for page in pages for address in Loaded(page.read_text()).addresses]
    loaded += [(css, address) for css in styles for address in FROM_CSS.findall(css.read_text())]
    assert len(loaded) > 200
    foreign = [(path.name, address) for path, address in loaded if ELSEWHERE.match(address)]
    assert not foreign


@pytest.mark.parametrize("page", ["index.html", "api/masks.html"])
def test_search_works_without_a_server(site: Path, browser: Browser, page: str) -> None:
    browser.errors()
    browser.open(Path("/dev/null"))
    browser.emulate(1200, 900)
    browser.open(site / page)
    browser.click("[data-md-component=search-query]")
    browser.type("[data-md-component=search-query]", "preemption")
    browser.wait("document.querySelector('.md-search-result__link')?.href.includes('multi_gpu')")
    assert browser.errors() == []  # what cannot be loaded is one


LAPTOP, PHONE = (1366, 768), (390, 844)
CUT_AT_THE_RIGHT = """
const boxes = [document.documentElement, ...document.querySelectorAll(arguments[0])];
return boxes.filter((box) => box.scrollWidth > box.clientWidth + 1)
  .map((box) => box.textContent.trim().slice(0, 80));
"""
BROKEN_WORDS = r"""
const isInWord = (letter) => /[\p{L}\p{N}]/u.test(letter);
const texts = document.createTreeWalker(document.querySelector("article"), NodeFilter.SHOW_TEXT);
const broken = [], range = document.createRange();
const lineOf = (text, at) => {
  range.setStart(text, at);
  range.setEnd(text, at + 1);
  return range.getBoundingClientRect().top;
};
for (let text; (text = texts.nextNode()); ) {
  for (const { 0: word, index } of text.data.matchAll(/\S+/g)) {
    range.setStart(text, index);
    range.setEnd(text, index + word.length);
    if (range.getClientRects().length < 2) continue;
    for (let i = 1; i < word.length; i++) {
      const isBroken = lineOf(text, index + i) > lineOf(text, index + i - 1) + 3;
      if (isBroken && isInWord(word[i - 1]) && isInWord(word[i]))
        broken.push(word.slice(0, i) + "|" + word.slice(i));
    }
  }
}
return broken;
"""


@pytest.mark.parametrize("screen", [LAPTOP, PHONE], ids=["laptop", "phone"])
def test_no_code_is_cut_and_no_word_is_broken(
    site: Path, browser: Browser, screen: tuple[int, int]
) -> None:
    browser.open(Path("/dev/null"))
    browser.emulate(*screen)
    may_not_scroll = (
        "pre, pre code" if screen == PHONE else "pre, pre code, .md-typeset__scrollwrap"
    )
    faults = {}
    for page in sorted(site.rglob("*.html")):
        browser.open(page)
        cut = browser.run(CUT_AT_THE_RIGHT, may_not_scroll)
        broken = browser.run(BROKEN_WORDS) if page.name != "404.html" else []
        if cut or broken:
            faults[page.relative_to(site).as_posix()] = (cut[:5], broken[:8])
    assert not faults
