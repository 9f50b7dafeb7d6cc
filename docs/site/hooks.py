"""What mkdocs does not do by itself: pages from elsewhere, options, equations, the API.

Run by mkdocs (mkdocs.yml), from the root of the repository.
"""

import re
from pathlib import Path
from typing import Any

from latex2mathml.converter import convert
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from options import options_page

ROOT = Path(__file__).parents[2]
ELSEWHERE = {
    "data.md": "data/README.md",
    "shard_format.md": "sola/shards/FORMAT.md",
    "contributing.md": "CONTRIBUTING.md",
    "changelog.md": "CHANGELOG.md",
}
"""Page of the site -> file of the repository."""
FENCE = re.compile(r"^(`{3,}).*?^\1$", re.MULTILINE | re.DOTALL)
CODE_OR_MATH = re.compile(r"(`+).+?\1|\$\$(?P<block>.+?)\$\$|\$(?P<inline>[^$\n]+?)\$", re.DOTALL)
LINK = re.compile(r"\]\((?P<target>[^)#:]+)(?P<anchor>#[^)]*)?\)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds pages whose text stands elsewhere, that of options, and the API's, one a package."""
    for page, path in ELSEWHERE.items():
        files.append(File.generated(config, page, content=(ROOT / path).read_text()))
    files.append(File.generated(config, "options.md", content=options_page()))
    for package in sorted((ROOT / "sola").iterdir()):
        if (package / "__init__.py").is_file() or package.name == "types.py":
            content = _reference(package)
            files.append(File.generated(config, f"api/{package.stem}.md", content=content))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turns equations into MathML, and links that leave docs/ into those of the site."""
    source = ELSEWHERE.get(page.file.src_uri, f"docs/{page.file.src_uri}")
    folder = (ROOT / source).parent
    known = {(ROOT / path).resolve(): page for page, path in ELSEWHERE.items()}

    def mend_link(match: re.Match[str]) -> str:
        path = (folder / match["target"]).resolve()
        if not path.exists() or page.file.src_uri.startswith("api/"):
            return match[0]
        anchor = match["anchor"] or ""
        if path in known:
            return f"]({known[path]}{anchor})"
        if path.is_relative_to(ROOT / "docs"):
            return f"]({path.relative_to(ROOT / 'docs').as_posix()}{anchor})"
        raise ValueError(f"{source}: links to {match['target']}, which is no page: name the file.")

    parts, end = [], 0
    for fence in FENCE.finditer(markdown):
        parts += [_mend(markdown[end : fence.start()], mend_link), fence[0]]
        end = fence.end()
    return "".join([*parts, _mend(markdown[end:], mend_link)])


def _mend(text: str, mend_link: Any) -> str:
    return CODE_OR_MATH.sub(_to_mathml, LINK.sub(mend_link, text))


def _to_mathml(match: re.Match[str]) -> str:
    if match["block"]:
        equation = convert(match["block"].strip(), display="block")
        return f'\n<div style="margin: 1.2em 0">{equation}</div>\n'
    # in a span: a line that began with anything else of HTML would be a paragraph of its own
    return f"<span>{convert(match['inline'].strip())}</span>" if match["inline"] else match[0]


def _reference(package: Path) -> str:
    """A page that mkdocstrings fills: the package's modules, each with what is public in it."""
    modules = [package] if package.is_file() else sorted(package.rglob("*.py"))
    names = [".".join(module.relative_to(ROOT).with_suffix("").parts) for module in modules]
    shown = [name for name in names if not name.endswith(("__init__", "__main__"))]
    return "\n\n".join([f"# sola.{package.stem}", *(f"::: {name}" for name in shown)])
