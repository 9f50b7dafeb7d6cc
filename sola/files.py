"""Write files atomically; read files, and distinguish refused access from damaged content."""

import errno
import hashlib
import json
import math
import os
import secrets
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, NoReturn

from sola.errors import DamagedFile, FileRefused

UNFINISHED_DIR = "unfinished.part"
"""Folder of incomplete results."""
MAX_NAME_BYTES = 200
"""Longest allowed name; file systems allow 255, and endings are added to names."""

_WRONG_CONTENT = (OSError, EOFError, KeyError, RuntimeError, ValueError)
"""Errors that libraries raise for wrong content; others, such as TypeError, are bugs."""

_REMEDIES = {
    errno.EMFILE: "Raise the limit on open files (ulimit -n)",
    errno.EACCES: "Check the permissions of the file and of its folders",
    errno.ENOENT: "Put it back, or mount its disk",
}


class Damage(RuntimeError):
    """Part of a file is damaged; the text says which part."""


def unsafe_name(name: object) -> str:
    """Return why a name of a video, frame or expression is unsafe as a file name; "" if it is safe.

    Names come from untrusted files and become parts of paths.
    """
    if not isinstance(name, str):
        return f"is {name!r}, not a text"
    if name in ("", ".", "..") or "/" in name or "\\" in name:
        return "is no name within a folder"
    if not name.isprintable():
        return "has characters that cannot be printed"
    if len(name.encode()) > MAX_NAME_BYTES:
        return f"is longer than {MAX_NAME_BYTES} bytes"
    return ""


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path to write to; rename it when the block ends.

    Several processes, also on several machines, may write the same file at once: the last one wins.
    A block that fails leaves nothing behind.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(f".{secrets.token_hex(8)}.part")
    try:
        yield unfinished
        unfinished.rename(path)
    except BaseException as error:
        unfinished.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno is not None and error.filename is None:
            error.filename = str(path)  # write errors do not name the file
        raise


@contextmanager
def whole_results(output_dir: Path, names: Sequence[str]) -> Iterator[Path]:
    """Yield a folder to write results into; move them to their final names when the block ends.

    Results of an earlier run are removed first, each atomically, in the order of the names. New
    results are published in the reverse order, so the first name exists only once all do.

    Args:
        output_dir: final folder of the results; it also holds the folder for unfinished ones.
        names: names of the results, files or folders; a result that is not made is skipped.
    """
    unfinished = output_dir / UNFINISHED_DIR
    if unfinished.exists():
        shutil.rmtree(unfinished)
    old_dir = unfinished / "old"
    old_dir.mkdir(parents=True)
    for name in names:
        if (output_dir / name).exists():
            (output_dir / name).rename(old_dir / name)
    shutil.rmtree(old_dir)
    yield unfinished
    for name in reversed(names):
        if (unfinished / name).exists():
            (unfinished / name).rename(output_dir / name)
    unfinished.rmdir()


def write_json(path: Path, content: Any) -> None:
    """Write a JSON file atomically; NaN raises a ValueError."""
    with whole_file(path) as unfinished:
        unfinished.write_text(json.dumps(content, indent=1, allow_nan=False))


def plain(value: Any) -> Any:
    """Convert to JSON types; numbers that are not finite become None."""
    if isinstance(value, dict):
        return {str(key): plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [plain(entry) for entry in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)


def sha256_of_file(path: Path) -> str:
    """Return the SHA-256 of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_of_code(cls: type) -> str | None:
    """Return the SHA-256 of a class's source file; None for sola's own, or without a file."""
    path = getattr(sys.modules.get(cls.__module__), "__file__", None)
    is_own = cls.__module__.partition(".")[0] == "sola"
    return None if is_own or path is None else sha256_of_file(Path(path))


def is_there(path: Path) -> bool:
    """Return whether a file exists.

    Raises:
        FileRefused: if that cannot be known, such as for a link into a disk that is not mounted.
    """
    with refusals(path):
        try:
            path.stat()
        except (FileNotFoundError, NotADirectoryError):
            if os.path.islink(path):  # not lexists: another process may just have made the file
                raise
            return False
    return True


def find_files(folder: Path, pattern: str) -> list[Path]:
    """Return the files below a folder whose relative paths match a pattern, sorted.

    Raises:
        FileRefused: if a folder cannot be listed, which ``Path.glob`` ignores.
    """
    if not is_there(folder):
        return []
    with refusals(folder):
        walked = os.walk(folder, onerror=_raise)
        paths = [Path(parent, name) for parent, _, names in walked for name in names]
    return sorted(path for path in paths if fnmatch(str(path.relative_to(folder)), pattern))


def read_json(path: Path, remedy: str) -> Any:
    """Return the content of a JSON file written by sola.

    Args:
        path: the file.
        remedy: sentence that says what to do if the file is damaged.

    Raises:
        FileRefused: if the system refuses to read it.
        DamagedFile: if it is not JSON.
    """
    with readable(path, remedy):
        return json.loads(path.read_bytes().decode())


@contextmanager
def refusals(path: Path) -> Iterator[None]:
    """Raise ``FileRefused`` for errors of the system; let other errors pass."""
    try:
        yield
    except OSError as error:
        if error.errno in (None, errno.EINVAL):  # errors of content: no errno, or a seek too far
            raise
        where = f"{path} (a link to {os.readlink(path)})" if os.path.islink(path) else str(path)
        remedy = _REMEDIES.get(error.errno, "Check that its disk is mounted and works")
        raise FileRefused(
            f"{where}: cannot be read ({os.strerror(error.errno)}). {remedy}, then run the "
            "same command again."
        ) from error


@contextmanager
def readable(path: Path, remedy: str) -> Iterator[None]:
    """Distinguish refused access from damaged content while a library reads a file.

    Args:
        path: the file.
        remedy: sentence that says what to do if the file is damaged.

    Raises:
        FileRefused: if the system refuses to read it.
        DamagedFile: if its content is wrong.
    """
    try:
        with refusals(path):
            yield
    except _WRONG_CONTENT as error:
        with refusals(path):
            sha256_of_file(path)  # read all of it, as libraries hide errors of the system
        reason = str(error.args[-1] if error.args else error).partition("\n")[0]
        raise DamagedFile(f"{path}: damaged or cut off ({reason}). {remedy}") from error


def _raise(error: OSError) -> NoReturn:
    raise error
