"""What is wrong with masks to hand in, from this code or any other: all of it at once."""

import os
import stat
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Collection, Container, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import accumulate, groupby
from pathlib import Path, PurePosixPath

from sola.config.progress import progress
from sola.datasets.frames import frame_size
from sola.errors import UserError
from sola.evaluation.png import mask_faults
from sola.evaluation.protocol import Benchmark

NUM_THREADS = min(16, os.cpu_count() or 1)
MAX_FILE_BYTES = 1 << 26
"""Of a mask, unpacked."""
Size = tuple[int, int]
"""(H, W)."""


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong."""

    path: str
    """In the zip or folder; a whole folder ends with a slash."""
    reason: str

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}"


@dataclass(frozen=True)
class Files:
    """A zip, or a folder with the same files."""

    names: Sequence[str]
    """Of all files, and of the folders that a zip lists (with a slash at the end)."""
    links: frozenset[str]
    """Those of the names that point elsewhere."""
    read: Callable[[str], bytes]
    """Content of a file; UserError or OSError if it cannot be read."""


def wanted_masks(dataset: Benchmark) -> dict[str, Size]:
    """The masks that answer a split: ``<video>/<expression id>/<frame>.png`` -> their size.

    Raises:
        UserError: if the first frame of a video, which tells its size, cannot be read.
    """
    wanted: dict[str, Size] = {}
    sizes: dict[str, Size] = {}
    for expression in dataset.expressions:
        video_id = expression.video_id
        paths = dataset.videos[video_id].frame_paths
        if video_id not in sizes:
            sizes[video_id] = frame_size(paths[0])
        folder = f"{video_id}/{expression.expression_id}"
        wanted |= {f"{folder}/{path.stem}.png": sizes[video_id] for path in paths}
    return wanted


def find_faults(path: Path, wanted: Mapping[str, Size], top_dir: str) -> list[Fault]:
    """Everything that is wrong with a submission.

    Args:
        path: a zip, or a folder whose contents would be zipped.
        wanted: masks that it must hold, and nothing else; see ``wanted_masks``.
        top_dir: folder in it that holds the videos, "" for none.

    Returns:
        The faults; a folder that is missing or unexpected as a whole is one of them.

    Raises:
        UserError: if ``path`` is neither a folder nor a readable zip.
    """
    files = open_files(path)
    counts = Counter(files.names)
    found_top = find_top(counts, wanted, top_dir)
    prefix = f"{found_top}/" if found_top else ""
    needed = {prefix + name: size for name, size in wanted.items()}
    there = {name: size for name, size in needed.items() if name in counts}
    folders = _all_folders(needed)
    surplus = (n for n in counts if n not in needed and n not in folders and not _escapes(n))
    return [
        *_top_faults(found_top, top_dir),
        *_name_faults(counts, files.links),
        *missing_faults(counts, needed),
        *_group("unexpected", surplus, folders),
        *_content_faults(files, there),
    ]


def missing_faults(there: Collection[str], needed: Iterable[str]) -> Iterator[Fault]:
    """A fault for each needed file that is not there, or for a whole folder of them."""
    absent = (name for name in needed if name not in there)
    return _group("missing", absent, _all_folders(there))


def _content_faults(files: Files, sizes: Mapping[str, Size]) -> Iterator[Fault]:
    def check(name: str) -> list[Fault]:
        if name in files.links:
            return []  # told already
        try:
            reasons = mask_faults(files.read(name), sizes[name])
        except (ValueError, OSError) as error:
            reasons = [f"cannot be read ({error})"]
        return [Fault(name, reason) for reason in reasons]

    folders = [list(group) for _, group in groupby(sizes, key=lambda name: name.rpartition("/")[0])]
    with ThreadPoolExecutor(NUM_THREADS) as pool, progress("checking", len(folders)) as advance:
        for names in folders:
            yield from (fault for found in pool.map(check, names) for fault in found)
            advance("")


def find_top(names: Iterable[str], wanted: Mapping[str, Size], top_dir: str) -> str:
    """The folder that holds the videos, right or not: that of the most masks."""
    split = (name.rsplit("/", 3) for name in names)
    tops = Counter(
        "".join(parts[:-3]) for parts in split if len(parts) > 2 and "/".join(parts[-3:]) in wanted
    )
    return max(tops, key=lambda top: (tops[top], top == top_dir)) if tops else top_dir


def _top_faults(found: str, needed: str) -> Iterator[Fault]:
    if found != needed:
        where = f"in a folder {needed}/" if needed else "at the top"
        yield Fault(f"{found}/" if found else ".", f"holds the videos; they are needed {where}")


def _name_faults(counts: Mapping[str, int], links: Iterable[str]) -> Iterator[Fault]:
    for name, count in counts.items():
        if count > 1:
            yield Fault(name, f"{count} times in the zip")
        if _escapes(name):
            yield Fault(name, "leaves the folder that it is unpacked in")
    yield from (Fault(name, "is a link; needed is the mask itself") for name in sorted(links))


def _escapes(name: str) -> bool:
    path = PurePosixPath(name)
    return path.is_absolute() or ".." in path.parts or "\\" in name or name[1:2] == ":"


def _group(what: str, names: Iterable[str], shared: Container[str]) -> Iterator[Fault]:
    """A fault a name; or a folder, the outermost that is not ``shared`` with other names."""
    found = (next((f for f in _folders(name) if f not in shared), name) for name in names)
    for name in dict.fromkeys(found):
        yield Fault(name, f"{what}, the whole folder" if name[-1] == "/" else what)


def _all_folders(names: Iterable[str]) -> set[str]:
    return {folder for name in names for folder in _folders(name)}


def _folders(name: str) -> list[str]:
    """a/b/c.png -> a/, a/b/."""
    return [f"{folder}/" for folder in accumulate(name.split("/")[:-1], "{}/{}".format)]


def open_files(path: Path) -> Files:
    """What is in a zip or a folder.

    Raises:
        UserError: if it is neither.
    """
    if path.is_dir():
        return _open_folder(path)
    if not path.is_file():
        raise UserError(f"{path}: no such zip or folder. predict.py submission=true writes one.")
    try:
        return _open_zip(zipfile.ZipFile(path))
    except zipfile.BadZipFile as error:
        raise UserError(f"{path}: not a readable zip ({error}). Pack it again.") from error


def _open_folder(folder: Path) -> Files:
    paths = [path for path in sorted(folder.rglob("*")) if path.is_symlink() or not path.is_dir()]
    names = [path.relative_to(folder).as_posix() for path in paths]
    links = frozenset(name for name in names if (folder / name).is_symlink())

    def read(name: str) -> bytes:
        path = folder / name
        if not path.is_file():
            raise UserError("it is no file")
        _check_bytes(path.stat().st_size)
        return path.read_bytes()

    return Files(names, links, read)


def _open_zip(file: zipfile.ZipFile) -> Files:
    members = {member.orig_filename: member for member in file.infolist()}

    def read(name: str) -> bytes:
        _check_bytes(members[name].file_size)
        try:
            return file.read(members[name])
        except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError) as error:
            raise UserError(str(error)) from error

    names = [member.orig_filename for member in file.infolist()]
    links = frozenset(n for n, m in members.items() if stat.S_ISLNK(m.external_attr >> 16))
    return Files(names, links, read)


def _check_bytes(num_bytes: int) -> None:
    if num_bytes > MAX_FILE_BYTES:
        raise UserError(f"{num_bytes} bytes are too many for a mask")
