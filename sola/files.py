"""Write files atomically; read files and tell refusal by the system from damage."""

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
"""Folder of results that are not complete yet."""
MAX_NAME_BYTES = 200
"""File systems allow 255; the rest is for the endings that are added to a name."""

_WRONG_CONTENT = (OSError, EOFError, KeyError, RuntimeError, ValueError)
"""Errors that libraries raise for wrong content; others, such as TypeError, are bugs."""

_REMEDIES = {
    errno.EMFILE: "Raise the limit on open files (ulimit -n)",
    errno.EACCES: "Check the permissions of the file and of its folders",
    errno.ENOENT: "Put it back, or mount its disk",
}


class Damage(RuntimeError):
    """Part of a file is not what was written there; the text says which."""


def unsafe_name(name: object) -> str:
    """Return why a video, frame or expression cannot name a file or folder; "" if it can.

    Names come from other people's files and become parts of paths.
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
    """Yield a temporary name to write a file under; rename it when the block ends.

    Several processes may write the same file at once, also on several machines: the last one wins.
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
            error.filename = str(path)  # errors of a write do not name the file
        raise


@contextmanager
def whole_results(output_dir: Path, names: Sequence[str]) -> Iterator[Path]:
    """Yield a folder to write results into; give them their final names when the block ends.

    Those of an earlier run are removed first, in the order of the names, each at once. New ones are
    published in the reverse order, so the first name is there only when all are.

    Args:
        output_dir: where the results will lie, beside the folder for unfinished ones.
        names: of the results, files or folders; one that is not made is skipped.
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
    """Write a JSON file atomically; NaN is refused."""
    with whole_file(path) as unfinished:
        unfinished.write_text(json.dumps(content, indent=1, allow_nan=False))


def plain(value: Any) -> Any:
    """Convert to JSON's types; a number that is not finite becomes None."""
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
    """Return the SHA-256 of a class's source file; None for sola's own and where there is none."""
    path = getattr(sys.modules.get(cls.__module__), "__file__", None)
    is_own = cls.__module__.partition(".")[0] == "sola"
    return None if is_own or path is None else sha256_of_file(Path(path))


def is_there(path: Path) -> bool:
    """Return whether a file exists.

    Raises:
        FileRefused: if that is unknown, such as for a link into a disk that is not mounted.
    """
    with refusals(path):
        try:
            path.stat()
        except (FileNotFoundError, NotADirectoryError):
            if os.path.lexists(path):
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
    """Return the content of a JSON file of ours.

    Args:
        path: the file.
        remedy: what to do if it is damaged, a sentence.

    Raises:
        FileRefused: if the system refuses to read it.
        DamagedFile: if it is not JSON.
    """
    with readable(path, remedy):
        return json.loads(path.read_bytes().decode())


@contextmanager
def refusals(path: Path) -> Iterator[None]:
    """Raise ``FileRefused`` for an error of the system; other errors pass, also of content."""
    try:
        yield
    except OSError as error:
        if error.errno in (None, errno.EINVAL):  # libraries set none, or seek too far
            raise
        where = f"{path} (a link to {os.readlink(path)})" if os.path.islink(path) else str(path)
        remedy = _REMEDIES.get(error.errno, "Check that its disk is mounted and works")
        raise FileRefused(
            f"{where}: cannot be read ({os.strerror(error.errno)}). {remedy}, then run the "
            "same command again."
        ) from error


@contextmanager
def readable(path: Path, remedy: str) -> Iterator[None]:
    """Tell refusal from damage while a library reads a file.

    Args:
        path: the file.
        remedy: what to do if it is damaged, a sentence.

    Raises:
        FileRefused: if the system refuses to read it.
        DamagedFile: if its content is wrong.
    """
    try:
        with refusals(path):
            yield
    except _WRONG_CONTENT as error:
        with refusals(path):
            sha256_of_file(path)  # reads all of it: libraries hide errors of the system
        reason = str(error.args[-1] if error.args else error).partition("\n")[0]
        raise DamagedFile(f"{path}: damaged or cut off ({reason}). {remedy}") from error


def _raise(error: OSError) -> NoReturn:
    raise error
