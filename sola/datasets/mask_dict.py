"""mask_dict.json: one JSON object of hundreds of MiB, ``{"<object>": [mask or null, ...], ...}``.

It is parsed once, from end to end in small pieces. What is kept is where every object's list lies
in the file, so that the masks of one video are read directly, and the file's SHA-256.
"""

import hashlib
import json
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from sola.errors import UserError
from sola.files import is_there, refusals, write_json
from sola.masks import check_codes
from sola.types import RunLength

FORMAT_VERSION = 1
CHUNK_BYTES = 1 << 22
MAX_LIST_BYTES = 1 << 26
"""A list that does not end within this is taken for a damaged one."""
MAX_SIGN_BYTES = 16
"""JSON cut off within a sign of its own (null, an escape) fails this near to its end."""

_SPACE = re.compile(r"[ \t\n\r]*")
_DECODER = json.JSONDecoder()
_BYTE_ORDER_MARK = "\xef\xbb\xbf"


class MaskList(NamedTuple):
    """One object of the file."""

    object_id: str
    masks: list[Any]
    """As the file has them."""
    start: int
    end: int
    """Bytes of the file between which the list lies."""


@dataclass(frozen=True)
class MaskIndex:
    """Where the masks of every object lie in a file."""

    path: str
    num_bytes: int
    mtime_ns: int
    sha256: str
    places: dict[str, list[int]]
    """Object id -> first byte of its list, and the byte after it."""
    format_version: int = FORMAT_VERSION

    def is_of(self, path: Path) -> bool:
        """Whether the file is still the one that the index was made of."""
        with refusals(path):
            stat = path.stat()
        found = (str(path.resolve()), stat.st_size, stat.st_mtime_ns, FORMAT_VERSION)
        return found == (self.path, self.num_bytes, self.mtime_ns, self.format_version)


class MaskDict:
    """The masks in a mask_dict.json, read when they are asked for."""

    def __init__(self, path: Path, index_path: Path | None) -> None:
        """Nothing is read yet.

        Args:
            path: the file.
            index_path: keeps the index for the next start; None: it is made again then.
        """
        self.path, self.index_path = path, index_path

    @property
    def sha256(self) -> str:
        """SHA-256 of the file."""
        return self._index.sha256

    @property
    def object_ids(self) -> Iterable[str]:
        """Objects that have masks."""
        return self._index.places.keys()

    def read(self, object_ids: Iterable[str]) -> dict[str, list[RunLength | None]]:
        """Masks of those of the objects that have any, None where the object is absent.

        Raises:
            UserError: if the file has changed since the start, or the masks are none.
        """
        places = self._index.places
        if not self._index.is_of(self.path):
            raise UserError(f"{self.path}: has changed since this run started. Start it again.")
        found: dict[str, list[RunLength | None]] = {}
        with refusals(self.path), self.path.open("rb") as file:
            for object_id in object_ids:
                if object_id in places:
                    start, end = places[object_id]
                    file.seek(start)
                    masks = json.loads(file.read(end - start))
                    where = f"{self.path}: object {object_id}"
                    found[object_id] = [_check_mask(mask, where) for mask in masks]
                    _check_codes(found[object_id], where)
        return found

    @cached_property
    def _index(self) -> MaskIndex:
        if self.index_path is None:
            return build_index(self.path)
        index = _read_index(self.index_path)
        if index is None or not index.is_of(self.path):
            index = build_index(self.path)
            write_json(self.index_path, asdict(index))
        return index


def build_index(path: Path) -> MaskIndex:
    """Parses a whole file; needs memory for a chunk and the longest list.

    Raises:
        UserError: if the file is not of the form above, names an object twice, or changes
            meanwhile.
    """
    digest, places = hashlib.sha256(), dict[str, list[int]]()
    with refusals(path), path.open("rb") as file:
        before = os.fstat(file.fileno())
        for entry in scan_masks(file, path, digest):
            if entry.object_id in places:
                raise UserError(
                    f"{path}: object {entry.object_id} is there twice. Get the file again."
                )
            places[entry.object_id] = [entry.start, entry.end]
        after = os.fstat(file.fileno())
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        raise UserError(f"{path}: changed while it was read. Start again when it is complete.")
    return MaskIndex(
        str(path.resolve()), after.st_size, after.st_mtime_ns, digest.hexdigest(), places
    )


def scan_masks(
    file: BinaryIO, path: Path, digest: "hashlib._Hash | None" = None
) -> Iterator[MaskList]:
    """Every object of a file, one after the other, those that are there twice included.

    Args:
        file: opened for reading bytes, at its start.
        path: for messages.
        digest: takes all bytes of the file.

    Raises:
        ValueError: where the file is not of the form above.
    """
    window = _Window(file, path, digest)
    window.skip(_BYTE_ORDER_MARK)
    window.need("{")
    if window.peek() == "}":
        window.need("}")
    else:
        separator = ","
        while separator == ",":
            yield _read_entry(window)
            separator = window.need(",}")
    if window.peek():
        raise window.error("something behind the last object")


def _read_entry(window: "_Window") -> MaskList:
    if window.peek() != '"':
        raise window.error("needed is the id of an object in quotes")
    name, _, _ = window.value()
    window.need(":")
    masks, start, end = window.value()
    object_id = name.encode("latin-1").decode("utf-8", "replace")
    if not isinstance(masks, list):
        raise window.error(f"object {object_id}: needed is a list of masks")
    return MaskList(object_id, masks, start, end)


class _Window:
    """The piece of a file that is being parsed.

    As latin-1, a character is a byte: JSON's own signs and the codes of masks are ASCII, and names
    are put right where they are read.
    """

    def __init__(self, file: BinaryIO, path: Path, digest: "hashlib._Hash | None") -> None:
        self._file, self._path, self._digest = file, path, digest
        self._text, self._position, self._offset = "", 0, 0

    def peek(self) -> str:
        """The next character that is no space; "" at the end of the file."""
        while True:
            match = _SPACE.match(self._text, self._position)
            assert match is not None, "it matches nothing, too"
            self._position = match.end()
            if self._position < len(self._text):
                return self._text[self._position]
            if not self._read_on():
                return ""

    def need(self, characters: str) -> str:
        """Steps over one of the characters."""
        found = self.peek()
        if not found or found not in characters:
            raise self.error(f"needed is one of {' '.join(characters)}")
        self._position += 1
        return found

    def skip(self, prefix: str) -> None:
        """Steps over a text, if it is there."""
        if self.peek() and self._text.startswith(prefix, self._position):
            self._position += len(prefix)

    def value(self) -> tuple[Any, int, int]:
        """The next value, and the bytes of the file between which it lies."""
        self.peek()
        while True:
            try:
                value, end = _DECODER.raw_decode(self._text, self._position)
            except json.JSONDecodeError as error:
                place = self._offset + error.pos
                if not self._is_cut_off(error) or not self._read_on():
                    raise self.error(error.msg, place) from error
            except RecursionError as error:
                raise self.error("lists within lists") from error
            else:
                start, self._position = self._position, end
                return value, self._offset + start, self._offset + end

    def error(self, reason: str, place: int | None = None) -> UserError:
        """What to raise where the file cannot be understood: here, or at a byte."""
        place = self._offset + self._position if place is None else place
        return UserError(
            f"{self._path}: not readable as JSON of masks, near byte {place}: {reason}. Get the "
            "file again."
        )

    def _is_cut_off(self, error: json.JSONDecodeError) -> bool:
        """Whether a value may be whole when more of the file is read."""
        if len(self._text) - self._position > MAX_LIST_BYTES:
            return False
        is_near_end = error.pos >= len(self._text) - MAX_SIGN_BYTES
        return is_near_end or error.msg.startswith("Unterminated string")

    def _read_on(self) -> bool:
        """Reads one more chunk and lets go of what is parsed; False at the end of the file."""
        chunk = self._file.read(CHUNK_BYTES)
        if self._digest is not None:
            self._digest.update(chunk)
        self._text = self._text[self._position :] + chunk.decode("latin-1")
        self._offset, self._position = self._offset + self._position, 0
        return bool(chunk)


def _check_mask(mask: Any, where: str) -> RunLength | None:
    if mask is None:
        return None
    reason = mask_problem(mask)
    if reason:
        raise UserError(f"{where}: a mask {reason}. Get the file again.")
    return RunLength(size=mask["size"], counts=mask["counts"])


def _check_codes(masks: list[RunLength | None], where: str) -> None:
    """A code that ends too early keeps pycocotools busy for ever."""
    by_size: dict[tuple[int, int], list[RunLength]] = {}
    for mask in masks:
        if mask is not None:
            by_size.setdefault((mask["size"][0], mask["size"][1]), []).append(mask)
    for size, masklet in by_size.items():
        try:
            check_codes(masklet, size)
        except ValueError as error:
            raise UserError(f"{where}: {error}. Get the file again.") from error


def mask_problem(mask: Any) -> str:
    """Why a value of a file is no run-length mask; "" if it is one."""
    if not isinstance(mask, dict):
        return f"is {type(mask).__name__}, needed are size and counts"
    size, counts = mask.get("size"), mask.get("counts")
    if not isinstance(size, list) or len(size) != 2:
        return "lacks its size, [height, width]"
    if any(type(side) is not int or side < 1 for side in size):
        return f"has the size {size}, needed is [height, width]"
    if not isinstance(counts, str) or not counts or not counts.isascii():
        return "lacks its counts, a text in COCO's compressed form"
    return ""


def _read_index(index_path: Path) -> MaskIndex | None:
    if not is_there(index_path):
        return None
    with refusals(index_path):
        content = index_path.read_bytes()
    try:
        return MaskIndex(**json.loads(content.decode()))
    except (ValueError, TypeError):  # of another version: it is made again
        return None
