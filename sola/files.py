"""Files that are there whole or not at all, whenever the process dies; and damaged ones."""

import ast
import hashlib
import io
import json
import math
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sola.errors import UserError

if TYPE_CHECKING:
    import h5py

MAX_NAME_BYTES = 200
"""File systems take 255; the rest is for the endings that are added to a name."""

DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
"""What may have a docstring."""

HDF5_VERSIONS = ("v110", "v110")
"""``libver`` of files that are written: from 1.10 on, HDF5's own structures have checksums, too."""

_PLAIN_NAME = re.compile(r"[0-9A-Za-z_-]{1,200}")


class Damage(RuntimeError):
    """Something in a file is not what was written there; says what."""


class DamagedFile(UserError):
    """A file that cannot be relied on, and what to do about it."""

    def __init__(self, path: Path, reason: str, remedy: str) -> None:
        super().__init__(f"{path}: damaged or cut off ({reason}). {remedy}")
        self.reason = reason


def unsafe_name(name: object) -> str:
    """Why a video, frame or expression cannot name a file or folder; "" if it can.

    Names come from files that others wrote and become parts of paths, read and written.
    """
    if not isinstance(name, str):
        return f"is {name!r}, not a text"
    if _PLAIN_NAME.fullmatch(name):
        return ""
    if name in ("", ".", "..") or "/" in name or "\\" in name:
        return "is no name within a folder"
    if not name.isprintable():
        return "holds characters that cannot be printed"
    if len(name.encode()) > MAX_NAME_BYTES:
        return f"is longer than {MAX_NAME_BYTES} bytes"
    return ""


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Another name to write a file under, which gets its own when the block ends well.

    Two processes may write the same file at once, also on two machines: the last one's stays.
    Where the block fails, nothing is left of it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(f".{secrets.token_hex(8)}.part")
    try:
        yield unfinished
        unfinished.rename(path)
    except BaseException as error:
        unfinished.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno is not None and error.filename is None:
            error.filename = str(path)  # a write does not say it
        raise


@contextmanager
def whole_hdf5(path: Path) -> Iterator["h5py.File"]:
    """A new HDF5 file, there whole or not at all.

    Raises:
        OSError: if the file system refuses (full, over a quota).
    """
    import h5py

    with whole_file(path) as unfinished, _Patient(unfinished, "w+b") as raw:
        try:
            with h5py.File(raw, "w", libver=HDF5_VERSIONS) as file:
                yield file
        finally:  # what else failed may come from that
            if raw.error is not None:
                raise OSError(raw.error.errno, raw.error.strerror, str(path)) from raw.error


class _Patient(io.FileIO):
    """A file that keeps the first error of writing and goes on as if there had been none.

    HDF5 neither closes a file that it could not write, nor lets its objects go without a complaint.
    """

    error: OSError | None = None

    def write(self, data: Any) -> int:
        """Writes all of it, which the system may not do at once."""
        left = memoryview(data).cast("B")
        num_bytes = len(left)
        try:
            while len(left) and self.error is None:
                left = left[super().write(left) :]
        except OSError as error:
            self.error = error
        return num_bytes


def write_json(path: Path, content: Any) -> None:
    """Write a JSON file; NaN is refused."""
    with whole_file(path) as unfinished:
        unfinished.write_text(json.dumps(content, indent=1, allow_nan=False))


def plain(value: Any) -> Any:
    """The same in JSON's types; a number that is not finite becomes None."""
    if isinstance(value, dict):
        return {str(key): plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [plain(entry) for entry in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)


def sha256_of_file(path: Path) -> str:
    """SHA-256 of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_of_code(path: Path) -> str:
    """SHA-256 of what a Python file does: of all but its comments, docstrings and layout.

    Every version of Python that sola runs on gives the same one.

    Raises:
        SyntaxError: if Python cannot read it.
    """
    tree = ast.parse(path.read_bytes(), str(path))
    return hashlib.sha256(repr(_statements(tree)).encode()).hexdigest()


def _statements(node: Any) -> Any:
    """A syntax tree as tuples, without what is empty: newer versions of Python add such fields."""
    if isinstance(node, list):
        return [_statements(each) for each in node]
    if not isinstance(node, ast.AST):
        return node
    fields = dict(ast.iter_fields(node))
    if isinstance(node, DOCUMENTED) and ast.get_docstring(node, clean=False) is not None:
        fields["body"] = node.body[1:]
    return (
        type(node).__name__,
        [(name, _statements(value)) for name, value in fields.items() if value not in (None, [])],
    )


def read_json(path: Path, remedy: str) -> Any:
    """What a JSON file of ours holds.

    Args:
        path: the file.
        remedy: what to do if it is damaged, a sentence.

    Raises:
        UserError: if it is no JSON.
    """
    try:
        return json.loads(path.read_text())
    except (ValueError, RecursionError) as error:  # of JSON, of text, of numbers without end
        raise UserError(f"{path}: not readable as JSON ({error}). {remedy}") from error


@contextmanager
def readable_hdf5(path: Path, remedy: str) -> Iterator[None]:
    """Tells in one sentence what h5py finds wrong with a file that the block reads.

    Args:
        path: the file.
        remedy: what to do about it, a sentence.

    Raises:
        UserError: if it is missing; ``DamagedFile`` if it is cut off, of another kind, lacks what
            is looked for or has values that cannot be right.
    """
    try:
        yield
    except FileNotFoundError as error:
        raise UserError(f"{path}: not found. {remedy}") from error
    except PermissionError as error:  # it may be sound
        raise UserError(f"{path}: may not be read by this user. Change its mode.") from error
    except (OSError, KeyError, RuntimeError, ValueError, TypeError) as error:
        reason = str(error.args[-1]).partition("\n")[0]
        raise DamagedFile(path, reason, remedy) from error
