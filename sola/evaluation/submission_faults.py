"""Masks to submit, from this code or any other: which files a split needs, and what is wrong."""

import io
import os
import stat
import zipfile
import zlib
from collections import Counter
from collections.abc import Collection, Container, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import accumulate, groupby
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from sola.config.progress import progress
from sola.datasets import Split
from sola.datasets.frames import frame_size
from sola.errors import UserError
from sola.types import Expression

NUM_THREADS = min(16, os.cpu_count() or 1)
MAX_FILE_BYTES = 1 << 26  # of a PNG
MODES = {"1": "grey", "L": "grey", "I;16": "grey", "P": "palette"}  # by name in Pillow
Size = tuple[int, int]  # (H, W)


class Fault(NamedTuple):
    """One thing that is wrong.

    Attributes:
        path: path in the zip or folder; that of a whole folder ends with a slash.
        reason: what is wrong.
    """

    path: str
    reason: str

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}"


class MaskFiles:
    """Files in a zip or folder.

    Args:
        path: the zip or folder.

    Attributes:
        names: names of all files, and of folders that a zip lists (with a slash at the end).
        links: names of links.

    Raises:
        UserError: if ``path`` is neither.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.members = path, dict[str, zipfile.ZipInfo]()
        if path.is_dir():
            paths = [p for p in sorted(path.rglob("*")) if p.is_symlink() or not p.is_dir()]
            self.names = [p.relative_to(path).as_posix() for p in paths]
            self.links = {name for name in self.names if (path / name).is_symlink()}
            return
        if not path.is_file():
            raise UserError(
                f"{path}: no such zip or folder. predict.py submission=true writes one."
            )
        try:
            self.zip = zipfile.ZipFile(path)
        except zipfile.BadZipFile as error:
            raise UserError(f"{path}: not a readable zip ({error}). Pack it again.") from error
        self.names = [member.orig_filename for member in self.zip.infolist()]
        self.members = {member.orig_filename: member for member in self.zip.infolist()}
        modes = {name: member.external_attr >> 16 for name, member in self.members.items()}
        self.links = {name for name, mode in modes.items() if stat.S_ISLNK(mode)}

    def read(self, name: str) -> bytes:
        """Read a file.

        Raises:
            UserError: if it cannot be read, or is too large for a mask.
        """
        path, member = self.path / name, self.members.get(name)
        try:
            if member is None and not path.is_file():
                raise UserError("is no file")
            num_bytes = path.stat().st_size if member is None else member.file_size
            if num_bytes > MAX_FILE_BYTES:
                raise UserError(f"{num_bytes} bytes are too many for a mask")
            return path.read_bytes() if member is None else self.zip.read(member)
        except (OSError, zipfile.BadZipFile, zlib.error, EOFError, RuntimeError) as error:
            raise UserError(f"cannot be read ({error})") from error

    def find_top(self, wanted: Container[str], top_dir: str) -> str:
        """Return the folder that holds most masks, with a slash; "" for none.

        Args:
            wanted: see ``wanted_masks``.
            top_dir: the right folder, returned if there are no masks.
        """
        split = (name.rsplit("/", 3) for name in self.names)
        tops = Counter("".join(parts[:-3]) for parts in split if "/".join(parts[-3:]) in wanted)
        top = max(tops, key=lambda top: (tops[top], top == top_dir)) if tops else top_dir
        return f"{top}/" if top else ""


def mask_names(dataset: Split, expression: Expression) -> list[str]:
    """Return the files that answer an expression, ``<video>/<expression id>/<frame>.png``."""
    folder = f"{expression.video_id}/{expression.expression_id}"
    return [f"{folder}/{p.stem}.png" for p in dataset.videos[expression.video_id].frame_paths]


def wanted_masks(dataset: Split) -> dict[str, Size]:
    """Return the files that answer a split, and their (H, W).

    Raises:
        UserError: if the first frame of a video, which has the size, cannot be read.
    """
    ids = dict.fromkeys(expression.video_id for expression in dataset.expressions)
    sizes = {video_id: frame_size(dataset.videos[video_id].frame_paths[0]) for video_id in ids}
    return {
        name: sizes[expression.video_id]
        for expression in dataset.expressions
        for name in mask_names(dataset, expression)
    }


def find_faults(path: Path, wanted: Mapping[str, Size], top_dir: str) -> list[Fault]:
    """Return everything that is wrong with a submission.

    Args:
        path: a zip, or a folder whose contents would be zipped.
        wanted: masks that it must hold, and nothing else; see ``wanted_masks``.
        top_dir: folder in it that holds the videos, "" for none.

    Returns:
        The faults; a folder that is missing or unexpected as a whole is one fault.

    Raises:
        UserError: if ``path`` is neither a folder nor a readable zip.
    """
    files = MaskFiles(path)
    counts, top = Counter(files.names), files.find_top(wanted, top_dir)
    needed = {top + name: size for name, size in wanted.items()}
    faults = []
    if top.rstrip("/") != top_dir:
        where = f"in a folder {top_dir}/" if top_dir else "at the top"
        faults.append(Fault(top or ".", f"holds the videos; they are needed {where}"))
    for name, count in counts.items():
        if count > 1:
            faults.append(Fault(name, f"{count} times in the zip"))
        if _escapes(name):
            faults.append(Fault(name, "leaves the folder that it is unpacked in"))
    faults += [Fault(name, "is a link; expected the mask itself") for name in sorted(files.links)]
    folders = _folders_of(needed)
    surplus = (n for n in counts if n not in needed and n not in folders and not _escapes(n))
    there = {n: size for n, size in needed.items() if n in counts and n not in files.links}
    return [
        *faults,
        *missing_faults(counts, needed),
        *_group("unexpected", surplus, folders),
        *_content_faults(files, there),
    ]


def missing_faults(there: Collection[str], needed: Iterable[str]) -> Iterator[Fault]:
    """Yield a fault for each needed file that is missing, or for a whole folder of them."""
    return _group("missing", (n for n in needed if n not in there), _folders_of(there))


def read_mask(files: MaskFiles, name: str, size: Size) -> NDArray[np.bool_]:
    """Read a mask of any system: a PNG with one channel or a palette; all but 0 is inside.

    Returns:
        (H, W) bool.

    Raises:
        UserError: if the file cannot be read, or has another size or several channels.
    """
    values, _ = _decode(files.read(name), size)
    return values != 0


def _decode(content: bytes, size: Size) -> tuple[NDArray[np.uint8], str]:
    """Return the values of a PNG with one channel, and its kind, such as "8-bit grey"."""
    try:
        with Image.open(io.BytesIO(content), formats=["PNG"]) as image:
            image.verify()  # checksums; the image must then be opened again
        with Image.open(io.BytesIO(content), formats=["PNG"]) as image:
            if (image.height, image.width) != size:
                raise UserError(
                    f"{image.width} x {image.height} px; the frames have {size[1]} x {size[0]}"
                )
            kind = f"{content[24]}-bit {MODES.get(image.mode, image.mode)}"  # byte of the header
            if len(image.getbands()) > 1:
                raise UserError(f"{kind}; expected one channel")
            return np.asarray(image), kind
    except UserError:
        raise
    except UnidentifiedImageError:
        raise UserError("not a PNG") from None
    except (OSError, SyntaxError, ValueError, zlib.error) as error:
        raise UserError(f"unreadable PNG ({error})") from error


def _content_faults(files: MaskFiles, sizes: Mapping[str, Size]) -> Iterator[Fault]:
    def check(name: str) -> str:
        try:
            values, kind = _decode(files.read(name), sizes[name])
        except UserError as error:
            return str(error)
        if kind != "8-bit grey":
            return f"{kind}; expected 8-bit grey"
        wrong = np.setdiff1d(values, (0, 255)).tolist()
        shown = ", ".join(map(str, wrong[:5])) + (", ..." if wrong[5:] else "")
        return f"has the values {shown}; expected only 0 and 255" if wrong else ""

    folders = [list(group) for _, group in groupby(sizes, key=lambda name: name.rpartition("/")[0])]
    with ThreadPoolExecutor(NUM_THREADS) as pool, progress("checking", len(folders)) as advance:
        for names in folders:
            for name, reason in zip(names, pool.map(check, names), strict=True):
                if reason:
                    yield Fault(name, reason)
            advance("")


def _escapes(name: str) -> bool:
    path = PurePosixPath(name)
    return path.is_absolute() or ".." in path.parts or "\\" in name or name[1:2] == ":"


def _group(what: str, names: Iterable[str], shared: Container[str]) -> Iterator[Fault]:
    """Yield a fault per name; or per folder, the outermost not ``shared`` with other names."""
    found = (next((f for f in _folders(name) if f not in shared), name) for name in names)
    for name in dict.fromkeys(found):
        yield Fault(name, f"{what}, the whole folder" if name[-1] == "/" else what)


def _folders_of(names: Iterable[str]) -> set[str]:
    return {folder for name in names for folder in _folders(name)}


def _folders(name: str) -> list[str]:
    """a/b/c.png -> a/, a/b/."""
    return [f"{folder}/" for folder in accumulate(name.split("/")[:-1], "{}/{}".format)]
