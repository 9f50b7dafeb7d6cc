"""What evaluations keep for others: scores, and all of a video that no threshold changes.

A folder holds what one checkpoint's evaluation of a split came to, and is named by everything that
it depends on; in it are scores.json and a file for every video that was measured. Each file is
there whole or not at all, says what it was made from and has a digest of its content, so that none
is taken for what it is not. Processes may share a folder: at worst they compute the same twice.
"""

import dataclasses
import hashlib
import json
import logging
import os
import shutil
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from sola.errors import UserError
from sola.evaluation.oracle import METHOD
from sola.evaluation.protocol import ExpressionResult, VideoTask
from sola.evaluation.scores import Scores
from sola.files import is_there, refusals, write_json

log = logging.getLogger(__name__)

MAX_FOLDERS = 16
"""Evaluations kept of a split; those used last stay."""
SCORES_FILE, VIDEOS_DIR = "scores.json", "videos"
CODE = ("masks", "metrics", "selector", "text", "evaluation")
"""Packages of which every change may change a number."""


class KeptEvaluation:
    """What is kept of one evaluation.

    Args:
        root: folder of the evaluations of a split; the oldest in it go when there are too many.
        key: everything that scores depend on, in JSON's types.
    """

    def __init__(self, root: Path, key: Mapping[str, Any]) -> None:
        self.key = {**key, "code": _digest_of_code()}
        self.folder = root / _digest(self.key)[:16]
        self.scores_path = self.folder / SCORES_FILE
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            os.utime(self.folder)
        except OSError as error:
            log.warning("%s: nothing can be kept there (%s)", root, error.strerror)
        for folder in sorted(root.glob("*/"), key=_last_use)[:-MAX_FOLDERS]:
            shutil.rmtree(folder, ignore_errors=True)

    def read_scores(self) -> Scores | None:
        """Scores of all expressions; None if there are none that can be relied on."""
        content = read_kept(self.scores_path, self.key)
        return None if content is None else Scores.from_json(content)

    def write_scores(self, scores: Scores) -> None:
        """Keeps scores, without their provenance."""
        _write(self.scores_path, self.key, dataclasses.replace(scores, provenance={}).as_json())

    def read(self, task: VideoTask) -> list[ExpressionResult] | None:
        """Results of the very same masks, scores and expressions; None if there are none."""
        content = read_kept(self._path_of(task), digest_of_task(task))
        if content is None:
            return None
        return [from_json(ExpressionResult, entry) for entry in content]

    def write(self, task: VideoTask, results: Sequence[ExpressionResult]) -> None:
        """Keeps the results of a video."""
        content = [dataclasses.asdict(result) for result in results]
        _write(self._path_of(task), digest_of_task(task), content)

    def _path_of(self, task: VideoTask) -> Path:
        return self.folder / VIDEOS_DIR / f"{task.expressions[0].video_id}.json"


def read_kept(path: Path, key: Any) -> Any:
    """What a kept file holds; None if it is not there, or is damaged or of something else.

    Args:
        path: the file.
        key: what its content has to be made from.

    Raises:
        FileRefused: if the system does not let it be read.
    """
    if not is_there(path):
        return None
    with refusals(path):
        text = path.read_bytes()
    try:
        found = json.loads(text.decode())
        if found["sha256"] != _digest(found["content"]):
            raise UserError("its digest is not that of its content")
        if found["key"] != key:
            raise UserError("it was made from something else")
        return found["content"]
    except (ValueError, KeyError, TypeError) as error:
        log.warning("%s: damaged or out of date (%s), it is made again", path, error)
        return None


def digest_of_task(task: VideoTask) -> str:
    """SHA-256 of everything that the results of a video depend on."""
    parts = [*task.masklets, *(masklet for _, masklet in sorted(task.ground_truth.items()))]
    scores = [
        [own.tracks, {text_id: row.tolist() for text_id, row in own.by_text.items()}]
        for own in map(task.scores.of, task.expressions)
    ]
    asked = [
        [dataclasses.asdict(expression), other and other.expression_id]
        for expression, other in zip(task.expressions, task.others, strict=True)
    ]
    made_from = [METHOD, sorted(task.ground_truth), task.track_sources, parts, scores, asked]
    return _digest([made_from, _digest_of_code()])


def from_json(kind: Any, value: Any) -> Any:
    """A data class, or a type of one of its fields, from what ``dataclasses.asdict`` made of it."""
    origin, args = get_origin(kind), get_args(kind)
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        hints = get_type_hints(kind)
        return kind(**{name: from_json(hints[name], entry) for name, entry in value.items()})
    if origin in (Union, UnionType):
        (inner,) = (arg for arg in args if arg is not type(None))
        return None if value is None else from_json(inner, value)
    if origin is dict:
        return {name: from_json(args[1], entry) for name, entry in value.items()}
    if origin is tuple:
        return tuple(from_json(args[0], entry) for entry in value)
    if isinstance(kind, type) and issubclass(kind, tuple):
        return kind(*value)
    return value


def _write(path: Path, key: Any, content: Any) -> None:
    try:
        write_json(path, {"key": key, "sha256": _digest(content), "content": content})
    except OSError as error:
        log.warning("%s: cannot be kept (%s)", path, error.strerror)


def _last_use(folder: Path) -> float:
    try:
        return folder.stat().st_mtime
    except FileNotFoundError:  # another process has removed it
        return 0.0


def _digest(content: Any) -> str:
    text = json.dumps(content, sort_keys=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


@cache
def _digest_of_code() -> str:
    root = Path(__file__).parents[1]
    paths = [path for name in CODE for path in sorted((root / name).rglob("*.py"))]
    return hashlib.sha256(b"".join(path.read_bytes() for path in paths)).hexdigest()
