"""Print the size of the code: lines of code, long functions, long files, docstrings.

    python tools/size.py          # or: make size

A line of code has a token other than a comment or a docstring. The length of a function is counted
from its ``def`` to its last line, without its docstring.
"""

import ast
import io
import sys
import tokenize
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[1]
BESIDE = ("tests", "benchmarks", "tools", "conf")
MAX_FUNCTION, MAX_FILE = 60, 350
LAYOUT = frozenset(
    (
        *(tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT),
        *(tokenize.ENCODING, tokenize.ENDMARKER),
    )
)
"""Tokens that do not count as code."""
Scope = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


@dataclass
class Size:
    """Counts of one Python file."""

    code: int
    total: int
    long_functions: list[str] = field(default_factory=list)
    num_public: int = 0
    undocumented: list[str] = field(default_factory=list)


def measure(path: Path) -> Size:
    """Return the counts of a Python file."""
    source = path.read_text()
    tree = ast.parse(source)
    scopes = [node for node in ast.walk(tree) if isinstance(node, Scope)]
    docstrings = {line for scope in scopes for line in _docstring_lines(scope)}
    size = Size(len(_token_lines(source) - docstrings), len(source.splitlines()))
    for scope in scopes:
        if isinstance(scope, ast.FunctionDef | ast.AsyncFunctionDef):
            assert scope.end_lineno is not None
            length = scope.end_lineno - scope.lineno + 1 - len(_docstring_lines(scope))
            if length > MAX_FUNCTION:
                size.long_functions.append(f"{scope.name} (line {scope.lineno}): {length}")
    for name, scope in _public(tree):
        size.num_public += 1
        if ast.get_docstring(scope) is None:
            size.undocumented.append(name or "module")
    return size


def _token_lines(source: str) -> set[int]:
    found: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in LAYOUT:
            found.update(range(token.start[0], token.end[0] + 1))
    return found


def _docstring_lines(scope: Scope) -> range:
    if not scope.body or ast.get_docstring(scope, clean=False) is None:
        return range(0)
    first = scope.body[0]
    assert first.end_lineno is not None
    return range(first.lineno, first.end_lineno + 1)


def _public(tree: ast.Module) -> list[tuple[str, Scope]]:
    """Yield the module and its public classes, functions and methods."""
    found: list[tuple[str, Scope]] = [("", tree)] if tree.body else []
    for node in tree.body:
        if not isinstance(node, Scope) or node.name.startswith("_"):
            continue
        found.append((node.name, node))
        if isinstance(node, ast.ClassDef):
            methods = [each for each in node.body if isinstance(each, Scope)]
            found += [(f"{node.name}.{m.name}", m) for m in methods if not m.name.startswith("_")]
    return found


def _files(folder: str, pattern: str) -> list[Path]:
    return sorted((ROOT / folder).rglob(pattern))


def _count(paths: list[Path]) -> int:
    return sum(len(path.read_text().splitlines()) for path in paths)


def main() -> None:
    """Print the tables."""
    paths = _files("sola", "*.py")
    sizes = {path.relative_to(ROOT): measure(path) for path in paths}
    code, total, files = Counter[str](), Counter[str](), Counter[str]()
    for path, size in sizes.items():
        package = path.parts[1] if len(path.parts) > 2 else "."
        code[package] += size.code
        total[package] += size.total
        files[package] += 1
    lines = [f"{'sola/':16}{'files':>8}{'code':>8}{'lines':>8}"]
    lines += [f"{name:16}{files[name]:8}{code[name]:8}{total[name]:8}" for name in sorted(code)]
    lines += [f"{'all':16}{files.total():8}{code.total():8}{total.total():8}", ""]
    for folder in BESIDE:
        python, other = _files(folder, "*.py"), _files(folder, "*.yaml")
        num_code = sum(measure(path).code for path in python)
        lines.append(f"{folder:16}{len(python):8}{num_code:8}{_count(python + other):8}")
    assets = [
        path for path in _files("sola", "assets/*") if path.suffix in (".js", ".css", ".html")
    ]
    lines += [f"{'assets':16}{len(assets):8}{'':8}{_count(assets):8}", ""]
    num_public = sum(size.num_public for size in sizes.values())
    undocumented = [f"{path}: {n}" for path, size in sizes.items() for n in size.undocumented]
    long_files = [f"{path}: {size.total}" for path, size in sizes.items() if size.total > MAX_FILE]
    long_functions = [f"{path}: {n}" for path, size in sizes.items() for n in size.long_functions]
    for title, found in (
        (f"functions above {MAX_FUNCTION} lines", long_functions),
        (f"files above {MAX_FILE} lines", long_files),
        ("public names without a docstring", undocumented),
    ):
        lines += [f"{title}: {len(found)}", *(f"  {each}" for each in found)]
    lines.append(f"public docstring coverage: {1 - len(undocumented) / num_public:.1%}")
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
