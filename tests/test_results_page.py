"""docs/results.md and the README show the figures of docs/results.json, which benchmarks write."""

from pathlib import Path

from benchmarks import tables

ROOT = Path(__file__).parent.parent


def test_results_page_shows_the_committed_figures():
    page = (ROOT / "docs" / "results.md").read_text()

    for part in tables.of_page(tables.read(tables.COMMITTED)):
        assert part in page, f"not in docs/results.md:\n{part}"


def test_readme_shows_the_committed_figures():
    readme = (ROOT / "README.md").read_text()
    found = tables.read(tables.COMMITTED)["selectors"][tables.HEADLINE]["splits"]["valid_u"]

    for answer, values in found[tables.ALL].items():
        if answer != "number":
            assert f"| {tables.mean(values)} |" in readme, f"{answer} is not in README.md"
