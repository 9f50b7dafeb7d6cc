"""Read mask_dict.json: hundreds of MiB of JSON, ``{"<object>": [mask or null, ...], ...}``.

The file is parsed once, in small chunks. Only its SHA-256 and the position of every object are
kept, so that the masks of one video can be read directly.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO

import ijson

from sola.errors import DamagedFile, UserError
from sola.files import is_there, read_json, refusals, write_json
from sola.masks import check_codes
from sola.types import RunLength

INDEX_VERSION = 2
CHUNK_BYTES = 1 << 16
MAX_DEPTH = 4
"""Nesting of the JSON: objects, list, mask, size."""


class MaskDict:
    """Reads masks from a mask_dict.json on demand."""

    def __init__(self, path: Path, index_path: Path | None) -> None:
        """Prepare to read; nothing is read yet.

        Args:
            path: the file.
            index_path: file that caches the index; None: every process parses the whole file.
        """
        self.path, self.index_path = path, index_path

    @property
    def sha256(self) -> str:
        """SHA-256 of the file."""
        return str(self._index["sha256"])

    def read(self, object_ids: Iterable[str]) -> dict[str, list[RunLength | None]]:
        """Return the masks by object, without objects that have none; None where absent.

        Raises:
            UserError: if the file has changed since the start, or a mask is invalid.
        """
        places = self._index["places"]
        if self._index["identity"] != _identity(self.path):
            raise UserError(f"{self.path}: has changed since this run started. Start it again.")
        found: dict[str, list[RunLength | None]] = {}
        with refusals(self.path), self.path.open("rb") as file:
            for object_id in object_ids:
                if object_id in places:
                    start, end = places[object_id]
                    file.seek(start)
                    found[object_id] = _find_masks(object_id, file.read(end - start))
                    _check_masks(found[object_id], f"{self.path}: object {object_id}")
        return found

    @cached_property
    def _index(self) -> dict[str, Any]:
        """Index: ``identity`` and ``sha256`` of the file, and ``places`` of ``find_places``."""
        identity = _identity(self.path)
        if self.index_path is not None and is_there(self.index_path):
            try:
                index = read_json(self.index_path, "It is made again.")
            except DamagedFile:  # rebuilt below
                index = None
            if isinstance(index, dict) and index.get("identity") == identity:
                return index
        sha256, places = find_places(self.path)
        index = {"identity": identity, "sha256": sha256, "places": places}
        if self.index_path is not None:
            write_json(self.index_path, index)
        return index


def find_places(path: Path) -> tuple[str, dict[str, list[int]]]:
    """Parse a whole file, chunk by chunk.

    Returns:
        SHA-256 of the file, and object id -> [start, end] of a range of bytes that contains the
        object's entry.

    Raises:
        UserError: if the file does not have the form above, or lists an object twice.
    """
    digest, places = hashlib.sha256(), dict[str, list[int]]()
    with refusals(path), path.open("rb") as file:
        try:
            for object_id, start, end in _scan(file, digest):
                if object_id in places:
                    raise ValueError(f"object {object_id} is there twice")
                places[object_id] = [start, end]
        except (ijson.JSONError, ValueError) as error:
            reason = str(error).partition("\n")[0].rpartition("error: ")[2].strip()
            raise UserError(
                f"{path}: not readable as JSON of masks ({reason}). Get the file again."
            ) from error
    return digest.hexdigest(), places


def _identity(path: Path) -> list[Any]:
    with refusals(path):
        stat = path.stat()
    return [INDEX_VERSION, str(path.resolve()), stat.st_size, stat.st_mtime_ns]


def _scan(file: BinaryIO, digest: Any) -> Iterator[tuple[str, int, int]]:
    """Yield (object id, start, end): ranges of bytes that contain the objects' entries."""
    events = ijson.sendable_list()
    parser = ijson.basic_parse_coro(events, use_float=True)
    depth, object_id, start, end = 0, "", 0, 0
    while chunk := file.read(CHUNK_BYTES):
        digest.update(chunk)
        parser.send(chunk)
        chunk_start, end = end, end + len(chunk)
        for event, value in events:
            if depth > MAX_DEPTH or (depth < 2 and event not in _EXPECTED[depth]):
                raise ValueError(f"object {object_id or '-'}: expected a list of masks")
            depth += event.startswith("start_") - event.startswith("end_")
            if depth == 1 and event == "map_key":
                object_id = value
            elif depth == 1 and event == "end_array":
                yield object_id, start, end
                start = chunk_start
        events.clear()
    parser.close()


_EXPECTED = (("start_map",), ("map_key", "start_array", "end_map"))
"""Allowed events outside the lists, by depth."""


def _find_masks(object_id: str, part: bytes) -> list[Any]:
    """Return the masks of an object whose entry is in a part of the file."""
    text = part.decode("utf-8", "replace")
    names = {json.dumps(object_id), json.dumps(object_id, ensure_ascii=False)}
    key = re.search(rf"(?:{'|'.join(map(re.escape, names))})\s*:\s*", text)
    assert key is not None, "the place was found in this file"
    masks: list[Any] = json.JSONDecoder().raw_decode(text, key.end())[0]
    return masks


def _check_masks(masks: list[Any], where: str) -> None:
    """Raise UserError for invalid masks: pycocotools would hang on a code that ends early."""
    by_size: dict[tuple[int, int], list[RunLength]] = {}
    for mask in masks:
        match mask:
            case None:
                pass
            case {"size": [int(height), int(width)], "counts": str(counts)} if (
                height > 0 and width > 0 and counts and counts.isascii()
            ):
                by_size.setdefault((height, width), []).append(mask)
            case _:
                raise UserError(
                    f"{where}: expected masks of size [height, width] and counts (a text, COCO's "
                    f"compressed form), got {str(mask)[:80]}. Get the file again."
                )
    for size, masklet in by_size.items():
        try:
            check_codes(masklet, size)
        except ValueError as error:
            raise UserError(f"{where}: {error}. Get the file again.") from error
