"""What mkdocs does not do by itself: pages from elsewhere, options, equations, the API.

Run by mkdocs (mkdocs.yml), from the root of the repository.
"""

import re
from itertools import pairwise
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
UNBROKEN = re.compile(r"<(pre|td|code)\b.*?</\1>", re.DOTALL)
TAG = re.compile(r"<[^>]*>")
LONG_WORD = {"pre": re.compile(r"\S{40,}"), "td": re.compile(r"\S{17,}")}
"""A phone shows lines of 43 letters of code. Cells are narrower."""
JOINT = re.compile(r"(?:&\w+;|&#\d+;)|([/=_:(\[@]|(?<!\d)[.,]|[.,](?!\d))(?=\w|&lt;|[$<{*])")
LINK = re.compile(r"\]\((?P<target>[^)#:]+)(?P<anchor>#[^)]*)?\)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds pages whose text stands elsewhere, that of options, and the API's, one a package."""
    for page, path in ELSEWHERE.items():
        files.append(File.generated(config, page, content=(ROOT / path).read_text()))
    files.append(File.generated(config, "options.md", content=options_page()))
    for package in sorted((ROOT / "sola").iterdir()):
        if (package / "__init__.py").is_file() or package.name in ("text.py", "types.py"):
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


def on_post_page(output: str, page: Page, config: MkDocsConfig) -> str:
    """Lets long words of code and of cells break after punctuation, and so nowhere else."""
    return UNBROKEN.sub(_break_at_joints, output)


def _break_at_joints(element: re.Match[str]) -> str:
    html = element[0]
    tags = [(tag.start(), tag.end()) for tag in TAG.finditer(html)]
    shown, places, end = "", [], 0  # the text without tags, and where each letter of it stands
    for start, after in [*tags, (len(html), len(html))]:
        shown += html[end:start]
        places += range(end, start)
        end = after
    words = LONG_WORD.get(element[1], LONG_WORD["td"]).finditer(shown)
    joints = [
        places[word.start() + joint.end() - 1] + 1
        for word in words
        for joint in JOINT.finditer(word[0])
        if joint[1]
    ]
    pieces = [html[start:end] for start, end in pairwise([0, *joints, len(html)])]
    return "<wbr>".join(pieces)


def _mend(text: str, mend_link: Any) -> str:
    return CODE_OR_MATH.sub(_to_mathml, LINK.sub(mend_link, text))


def _to_mathml(match: re.Match[str]) -> str:
    if match["block"]:
        equation = convert(match["block"].strip(), display="block")
        return f'\n<div class="equation">{equation}</div>\n'
    # in a span: a line that began with anything else of HTML would be a paragraph of its own
    return f"<span>{convert(match['inline'].strip())}</span>" if match["inline"] else match[0]


def _reference(package: Path) -> str:
    """A page that mkdocstrings fills: the package's modules, each with what is public in it."""
    modules = [package] if package.is_file() else sorted(package.rglob("*.py"))
    names = [".".join(module.relative_to(ROOT).with_suffix("").parts) for module in modules]
    shown = [name for name in names if not name.endswith(("__init__", "__main__"))]
    return "\n\n".join([f"# sola.{package.stem}", *(f"::: {name}" for name in shown)])
