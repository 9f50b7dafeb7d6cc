"""Files that are there whole or not at all, whenever the process dies; and damaged ones."""

import hashlib
import json
import math
import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import h5py


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
        OSError: if the file system refuses (full, over a quota); h5py itself says so in the words
            of an error of its own.
    """
    import h5py

    with whole_file(path) as unfinished:
        try:
            with h5py.File(unfinished, "w") as file:
                yield file
        except (OSError, RuntimeError) as error:
            number = re.search(r"errno = (\d+)", str(error))
            if number is None:
                raise
            raise OSError(int(number[1]), os.strerror(int(number[1])), str(path)) from error


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


def read_json(path: Path, remedy: str) -> Any:
    """What a JSON file of ours holds.

    Args:
        path: the file.
        remedy: what to do if it is damaged, a sentence.

    Raises:
        ValueError: if it is no JSON.
    """
    try:
        return json.loads(path.read_text())
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: not readable as JSON ({error}). {remedy}") from error


@contextmanager
def readable_hdf5(path: Path, remedy: str) -> Iterator[None]:
    """Tells in one sentence what h5py finds wrong with a file that the block reads.

    Args:
        path: the file.
        remedy: what to do about it, a sentence.

    Raises:
        ValueError: if it is missing, cut off, of another kind, or lacks what is looked for.
    """
    try:
        yield
    except FileNotFoundError as error:
        raise ValueError(f"{path}: not found. {remedy}") from error
    except PermissionError as error:  # it may be sound
        raise ValueError(f"{path}: may not be read by this user. Change its mode.") from error
    except (OSError, KeyError, RuntimeError) as error:
        reason = str(error.args[-1]).partition("\n")[0]
        raise ValueError(f"{path}: damaged or cut off ({reason}). {remedy}") from error
