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
