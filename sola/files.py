"""Write files atomically; read files and tell refusal by the system from damage."""

import errno
import hashlib
import inspect
import io
import json
import math
import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from sola.errors import DamagedFile, FileRefused, UserError

if TYPE_CHECKING:
    import h5py

MAX_NAME_BYTES = 200
"""File systems take 255; the rest is for the endings that are added to a name."""

HDF5_VERSIONS = ("v110", "v110")
"""``libver`` of files that are written: from 1.10 on, HDF5's own structures have checksums, too."""

MAX_OPEN_FILES = 8
"""HDF5 files that ``Hdf5Files`` keeps open."""

METADATA_CACHE_BYTES = 1 << 16
"""Memory that HDF5 uses per file to cache what it learned of groups; its default grows to MiBs."""

_LIMIT = "Raise the limit on open files (ulimit -n)"
_PERMISSION = "Check the permissions of the file and of its folders"
_LOCKED = "Wait for the process that locks it"
_MOUNT = "Check that its disk is mounted and works"
_REMEDIES = {
    **dict.fromkeys((errno.EMFILE, errno.ENFILE), _LIMIT),
    **dict.fromkeys((errno.EACCES, errno.EPERM), _PERMISSION),
    **dict.fromkeys((errno.EAGAIN, errno.ETXTBSY), _LOCKED),
    errno.ENOENT: "Put it back, or mount its disk",
}
"""What to do about an error of the system; ``_MOUNT`` about all others."""

_OF_CONTENT = (None, errno.EINVAL)
"""``errno`` where content is wrong: libraries set none, or seek to where no file can reach."""

_WRONG_CONTENT = (
    OSError,
    EOFError,
    KeyError,
    RuntimeError,
    ValueError,
)
"""What libraries raise of wrong content; not TypeError and others, which are bugs of ours."""

_PLAIN_NAME = re.compile(r"[0-9A-Za-z_-]{1,200}")


class Damage(RuntimeError):
    """Something in a file is not what was written there; says what."""


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


def sha256_of_code(cls: type) -> str | None:
    """SHA-256 of the file of a class; None for sola's own, which have a version, or without one."""
    if cls.__module__.partition(".")[0] == "sola":
        return None
    try:
        path = inspect.getsourcefile(cls)
    except TypeError:  # of a notebook
        return None
    return None if path is None else sha256_of_file(Path(path))


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
        FileRefused: if a folder cannot be listed, which ``Path.glob`` passes over.
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
        FileRefused: if the system does not let it be read.
        DamagedFile: if it is not JSON.
    """
    with refusals(path):
        content = path.read_bytes()
    try:
        return json.loads(content.decode())
    except (ValueError, RecursionError) as error:  # of JSON, of text, of numbers without end
        raise DamagedFile(f"{path}: not readable as JSON ({error}). {remedy}") from error


@contextmanager
def refusals(path: Path) -> Iterator[None]:
    """Raise ``FileRefused`` for an error of the system; other errors pass, also of content."""
    try:
        yield
    except OSError as error:
        if error.errno in _OF_CONTENT:
            raise
        raise _refused(path, error) from error


@contextmanager
def readable(path: Path, remedy: str) -> Iterator[None]:
    """Tell refusal from damage while a library reads a file.

    Args:
        path: the file.
        remedy: what to do if it is damaged, a sentence.

    Raises:
        FileRefused: if the system does not let it be read.
        DamagedFile: if its content is wrong.
    """
    try:
        with refusals(path):
            yield
    except UserError:
        raise
    except _WRONG_CONTENT as error:
        reason = str(error.args[-1] if error.args else error).partition("\n")[0]
        raise DamagedFile(f"{path}: damaged or cut off ({reason}). {remedy}") from error


@contextmanager
def open_file(path: Path) -> Iterator[io.BufferedReader]:
    """Open a file for a library that may hide errors of the system.

    Raises:
        FileRefused: if the system does not let it be read.
    """
    with refusals(path), _Source(path) as raw:
        try:
            yield io.BufferedReader(raw)
        except Exception:
            if raw.refusal is not None:
                raise raw.refusal from None
            raise


@contextmanager
def open_hdf5(path: Path, remedy: str) -> Iterator["h5py.File"]:
    """Open an HDF5 file to read; see ``readable``."""
    with readable(path, remedy), _open_hdf5(path) as file:
        yield file


class Hdf5Files:
    """Open HDF5 files, at most ``MAX_OPEN_FILES``: those read last stay open.

    It may be pickled, and shared by forked processes.
    """

    def __init__(self) -> None:
        self._open: dict[Path, h5py.File] = {}

    @contextmanager
    def open(self, path: Path, remedy: str) -> Iterator["h5py.File"]:
        """Open a file, or use the open one; see ``readable``."""
        with readable(path, remedy):
            file = self._open.pop(path, None)
            while file is None and len(self._open) >= MAX_OPEN_FILES:
                self._open.pop(next(iter(self._open))).close()
            self._open[path] = file or _open_hdf5(path)
            yield self._open[path]

    def __getstate__(self) -> dict[str, Any]:
        return {"_open": {}}


def _open_hdf5(path: Path) -> "h5py.File":
    """Open a file without locks, which some file systems lack; errors of the system keep errno.

    Arrays are contiguous, so HDF5 has nothing but metadata to cache.
    """
    import h5py

    source = _Source(path)
    try:
        source.read(1)  # some file systems refuse only now
        file = h5py.File(source, "r")
    except BaseException:
        source.close()
        raise
    cache = file.id.get_mdc_config()
    cache.set_initial_size = True
    cache.initial_size = cache.min_size = cache.max_size = METADATA_CACHE_BYTES
    file.id.set_mdc_config(cache)
    return file


class _Source(io.RawIOBase):
    """A file to read that remembers the system's refusal.

    It keeps its own position: forked processes share that of the system.
    """

    refusal: OSError | None = None
    _descriptor = -1

    def __init__(self, path: Path) -> None:
        self._descriptor, self._position = os.open(path, os.O_RDONLY | os.O_CLOEXEC), 0

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Set the position."""
        size = os.fstat(self._descriptor).st_size
        self._position = (0, self._position, size)[whence] + offset
        return self._position

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer as far as the file goes."""
        num_bytes = self._fill(memoryview(buffer).cast("B"))
        self._position += num_bytes
        return num_bytes

    def close(self) -> None:
        """Close the file."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
        super().close()

    def _fill(self, buffer: memoryview) -> int:
        done = 0
        try:
            while rest := buffer[done:]:
                num_bytes = os.preadv(self._descriptor, [rest], self._position + done)
                if not num_bytes:
                    break
                done += num_bytes
        except OSError as error:
            self.refusal = error
            raise
        return done


def _raise(error: OSError) -> NoReturn:
    raise error


def _refused(path: Path, error: OSError) -> FileRefused:
    where = f"{path} (a link to {os.readlink(path)})" if os.path.islink(path) else str(path)
    remedy = _REMEDIES.get(error.errno or 0, _MOUNT)
    return FileRefused(
        f"{where}: cannot be read ({error.strerror}). {remedy}, then run the same command again."
    )
