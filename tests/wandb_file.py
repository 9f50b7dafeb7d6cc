"""Reads the records of an offline run of Weights & Biases, as the command that syncs it would.

A file is a header of 7 bytes (":W&B", 0xBEE1, a version) and the log format of LevelDB: blocks of
32 KiB, in them pieces of records (crc32, length, kind), each record a protocol buffer.
"""

import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wandb.proto.wandb_internal_pb2 import Record

HEADER = struct.pack("<4sHB", b":W&B", 0xBEE1, 0)
BLOCK = 1 << 15
PIECE = struct.Struct("<IHB")
FULL, FIRST, MIDDLE, LAST = 1, 2, 3, 4


@dataclass
class WandbFile:
    """What a run would show."""

    folder: Path
    run: Any = None
    config: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    summary: dict[str, Any] = field(default_factory=dict)
    files: list[str] = field(default_factory=list)
    """Paths below files/ that are to be uploaded."""
    artifacts: list[Any] = field(default_factory=list)
    kinds: list[str] = field(default_factory=list)
    """Of all records, in their order."""

    def column(self, key: str) -> list[Any]:
        """The values that were logged under a name, row by row."""
        return [row[key] for row in self.history if key in row]

    def media(self) -> list[dict[str, Any]]:
        """Every value that names a file, those within tables included."""
        found = [each for row in self.history for each in _media(row)]
        for each in list(found):
            if each["path"].endswith(".table.json"):
                found += _media(json.loads((self.folder / "files" / each["path"]).read_text()))
        return found

    def table(self, value: dict[str, Any]) -> list[dict[str, Any]]:
        """The rows of a table, by its columns."""
        content = json.loads((self.folder / "files" / value["path"]).read_text())
        return [dict(zip(content["columns"], row, strict=True)) for row in content["data"]]


def read_runs(run_dir: Path) -> list[WandbFile]:
    """The offline runs in a run's folder, the oldest first."""
    paths = sorted(run_dir.glob("wandb/offline-run-*/*.wandb"), key=lambda p: p.stat().st_mtime)
    return [read_file(path) for path in paths]


def read_file(path: Path) -> WandbFile:
    """One offline run."""
    found = WandbFile(path.parent)
    for record in records(path):
        kind = record.WhichOneof("record_type")
        found.kinds.append(kind)
        if kind == "run":
            found.run = record.run
            _update(found.config, record.run.config.update)
        elif kind == "config":
            _update(found.config, record.config.update)
        elif kind == "history":
            found.history.append(_items(record.history.item))
        elif kind == "summary":
            _update(found.summary, record.summary.update)
        elif kind == "files":
            found.files += [file.path for file in record.files.files]
        elif kind == "artifact":
            found.artifacts.append(record.artifact)
        elif kind == "request" and record.request.HasField("log_artifact"):
            found.artifacts.append(record.request.log_artifact.artifact)
    return found


def records(path: Path) -> Iterator[Record]:
    """All whole records; a file that was cut off ends with the last of them."""
    data = path.read_bytes()
    assert data[: len(HEADER)] == HEADER, data[: len(HEADER)]
    place, parts = len(HEADER), b""
    while place + PIECE.size <= len(data):
        left = BLOCK - place % BLOCK
        if left < PIECE.size:
            place += left
            continue
        _, length, kind = PIECE.unpack_from(data, place)
        place += PIECE.size
        piece = data[place : place + length]
        if len(piece) < length:
            return
        place += length
        parts = piece if kind in (FULL, FIRST) else parts + piece
        if kind in (FULL, LAST):
            yield Record.FromString(parts)


def _items(items: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    _update(found, items)
    return found


def _update(target: dict[str, Any], items: Any) -> None:
    for item in items:
        *outer, last = item.nested_key or [item.key]
        place = target
        for name in outer:
            place = place.setdefault(name, {})
        place[last] = json.loads(item.value_json)


def _media(value: Any) -> list[dict[str, Any]]:
    if isinstance(value, dict):
        own = [value] if "_type" in value and isinstance(value.get("path"), str) else []
        return own + [each for inner in value.values() for each in _media(inner)]
    if isinstance(value, list):
        return [each for inner in value for each in _media(inner)]
    return []
