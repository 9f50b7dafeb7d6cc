"""meta_expressions.json: reads it, and says what is wrong with it.

``{"videos": {video: {"frames": [name, ...], "expressions": {id: {"exp": str, ...}}}}}``; where
ground truth is public, an expression also has its objects, under a key that depends on the layout.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sola.datasets.json_file import read_json, repeated_keys
from sola.datasets.problems import shorten
from sola.errors import UserError
from sola.files import unsafe_name

NO_EXPRESSIONS = ""
"""In place of an expression's id: the video's expressions cannot be read at all."""


@dataclass(frozen=True)
class Finding:
    """Something wrong or odd in a file, and where."""

    reason: str
    is_error: bool = True
    is_lost: bool = False
    """The expression (without one, the video) cannot be read."""
    expression_id: str | None = None
    video_id: str | None = None


def read_meta(path: Path) -> dict[str, Any]:
    """The videos of a file, by id.

    Raises:
        UserError: if the file is no JSON or has no videos.
    """
    content = read_json(path)
    videos = content.get("videos") if isinstance(content, dict) else None
    if not isinstance(videos, dict):
        raise UserError(
            f'{path}: no "videos" found; needed is {{"videos": {{id: ...}}}}. Get it again.'
        )
    return videos


def object_ids(entry: dict[str, Any], key: str) -> tuple[str, ...] | None:
    """Objects of an expression; None where the file does not say (a hidden test split)."""
    ids = entry.get(key)
    if ids is None:
        return None
    return tuple(str(object_id) for object_id in (ids if isinstance(ids, list) else [ids]))


def in_time(frames: Iterable[str]) -> list[str]:
    """Names of frames in the order of time: 9 comes before 10."""
    return sorted(frames, key=lambda name: (len(name), name))


def find_problems(
    videos: dict[str, Any], key: str, object_problem: Callable[[str], str]
) -> Iterator[Finding]:
    """What is wrong with the videos of a file.

    Args:
        videos: as ``read_meta`` gives them.
        key: under which an expression names its objects.
        object_problem: says why there cannot be an object of some id, "" if there can.
    """
    if not videos:
        yield Finding("lists no videos")
    for video_id in repeated_keys(videos):
        yield Finding(f"video {shorten(video_id)} is there twice", video_id=video_id)
    yield from _case_clashes("videos", videos)
    for video_id, meta in videos.items():
        for finding in _problems_of_video(video_id, meta, key, object_problem):
            reason = f"video {shorten(video_id)}: {finding.reason}"
            yield replace(finding, video_id=video_id, reason=reason)


def _problems_of_video(
    video_id: str, meta: Any, key: str, object_problem: Callable[[str], str]
) -> Iterator[Finding]:
    if unsafe_name(video_id):
        yield Finding(f"the name {unsafe_name(video_id)}", is_lost=True)
    if not isinstance(meta, dict):
        yield Finding(f"is {shorten(meta)}, needed are frames and expressions", is_lost=True)
        return
    yield from (Finding(f"{name} is there twice") for name in repeated_keys(meta))
    yield from _problems_of_frames(meta.get("frames"))
    expressions = meta.get("expressions")
    if not isinstance(expressions, dict):
        reason = f"lacks expressions: found is {shorten(expressions)}"
        yield Finding(reason, is_lost=True, expression_id=NO_EXPRESSIONS)
        return
    if not expressions:
        yield Finding("no expressions", is_error=False)
    yield from (Finding(f"expression {name} is there twice") for name in repeated_keys(expressions))
    for expression_id, entry in expressions.items():
        for finding in _problems_of_expression(expression_id, entry, key, object_problem):
            reason = f"expression {shorten(expression_id)}: {finding.reason}"
            yield replace(finding, expression_id=expression_id, reason=reason)


def _problems_of_frames(frames: Any) -> Iterator[Finding]:
    if not isinstance(frames, list):
        yield Finding(f"lacks frames: found is {shorten(frames)}", is_lost=True)
        return
    if not frames:
        yield Finding("lacks frames (the list is empty)", is_lost=True)
        return
    unsafe = [frame for frame in frames if unsafe_name(frame)]
    for frame in unsafe:
        yield Finding(f"frame {shorten(frame)}: the name {unsafe_name(frame)}", is_lost=True)
    if unsafe:
        return
    twice = [frame for frame, count in Counter(frames).items() if count > 1]
    if twice:
        yield Finding(f"{len(twice)} frames are listed twice, such as {twice[0]}", is_lost=True)
    yield from _case_clashes("frames", frames)
    if len(frames) == 1:
        yield Finding("a single frame: nothing can move", is_error=False)
    if frames != in_time(frames):
        reason = "frames are listed out of order; they are read in the order of their names"
        yield Finding(reason, is_error=False)


def _problems_of_expression(
    expression_id: str, entry: Any, key: str, object_problem: Callable[[str], str]
) -> Iterator[Finding]:
    if unsafe_name(expression_id):
        yield Finding(f"the id {unsafe_name(expression_id)}", is_lost=True)
    if not isinstance(entry, dict) or not isinstance(entry.get("exp"), str):
        reason = f'is {shorten(entry)}, needed is an object with a text as "exp"'
        yield Finding(reason, is_lost=True)
        return
    yield from (Finding(f"{name} is there twice") for name in repeated_keys(entry))
    if not entry["exp"].strip():
        yield Finding("empty text", is_error=False)
    elif not entry["exp"].isprintable():
        reason = f"text with characters that cannot be printed: {shorten(entry['exp'])}"
        yield Finding(reason, is_error=False)
    yield from _problems_of_objects(entry.get(key), key, object_problem)


def _problems_of_objects(
    named: Any, key: str, object_problem: Callable[[str], str]
) -> Iterator[Finding]:
    ids = named if isinstance(named, list) else [] if named is None else [named]
    if any(isinstance(one, bool) or not isinstance(one, int | str) for one in ids):
        yield Finding(f"{key} is {shorten(named)}, needed are ids of objects", is_lost=True)
        return
    for object_id in map(str, ids):
        if object_problem(object_id):
            reason = f"object {shorten(object_id)} {object_problem(object_id)}"
            yield Finding(reason, is_lost=True)
    if len(set(ids)) < len(ids):
        yield Finding(f"{key} names an object twice: {shorten(ids)}", is_error=False)


def _case_clashes(what: str, names: Iterable[str]) -> Iterator[Finding]:
    """Names that are one on file systems that do not tell upper from lower case."""
    first: dict[str, str] = {}
    for name in names:
        other = first.setdefault(name.lower(), name)
        if other != name:
            reason = f"{what} {shorten(other)} and {shorten(name)} differ only in case"
            yield Finding(reason, is_error=False)
