"""Scores of the tracks that may answer an expression: computed once, saved and cached."""

import hashlib
import json
import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sola.config.progress import progress
from sola.errors import DamagedFile
from sola.evaluation.scorers import Scorer
from sola.evaluation.tracks import TrackSources, VideoTracks
from sola.files import is_there, read_json, write_json
from sola.types import Expression, Video

log = logging.getLogger(__name__)

FORMAT_VERSION = 2
MAX_CACHED = 16  # scores of a split in the cache; those written last stay
# (video id, expression id) -> another expression of the video, see ``choose_other_texts``
OtherTexts = Mapping[tuple[str, str], Expression]


@dataclass(frozen=True)
class ExpressionScores:
    """Scores of the N tracks that may answer one expression.

    Attributes:
        tracks: N indices among the tracks of the video, ascending.
        by_text: id of the expression whose text was scored -> (N,) in [0, 1]. The first is the
            expression's own; another one is there for comparison.
    """

    tracks: tuple[int, ...]
    by_text: dict[str, NDArray[np.float32]]


@dataclass(frozen=True)
class Scores:
    """Scores of all expressions of a split, and what they came from.

    Attributes:
        by_expression: scores by (video id, expression id).
        tracks: video id -> for each track its prompt source, the expression it was made for (None:
            all of the video), its number among these, and frame and area of its prompt.
        provenance: names of what was scored by what.
    """

    by_expression: dict[tuple[str, str], ExpressionScores]
    tracks: dict[str, list[dict[str, Any]]]
    provenance: dict[str, Any] = field(default_factory=dict)

    def of(self, expression: Expression) -> ExpressionScores:
        """Return the scores of one expression's tracks."""
        return self.by_expression[expression.video_id, expression.expression_id]

    def row(self, expression: Expression, *, text_of: Expression | None = None) -> dict[int, float]:
        """Return the scores of an expression's tracks.

        Args:
            expression: the expression to answer.
            text_of: another expression, whose text was scored instead of its own.

        Returns:
            Indices among the tracks of the video -> scores.

        Raises:
            KeyError: if the expression was not scored, or not under that text.
        """
        own, text_id = self.of(expression), (text_of or expression).expression_id
        return dict(zip(own.tracks, own.by_text[text_id].tolist(), strict=True))

    def select(self, expression: Expression, threshold: float) -> frozenset[int]:
        """Return the tracks of an expression that score above the threshold; see ``row``."""
        return frozenset(idx for idx, score in self.row(expression).items() if score > threshold)

    def save(self, path: Path) -> None:
        """Write scores.json, see ``as_json``."""
        write_json(path, self.as_json())

    def as_json(self) -> dict[str, Any]:
        """Return the content of scores.json.

        Under "videos", a video has "tracks" and "expressions". An expression has "tracks", indices
        of those that may answer, and "scores": a number for each of these by the id of the
        expression whose text was scored.
        """
        videos: dict[str, Any] = {
            video_id: {"tracks": tracks, "expressions": {}}
            for video_id, tracks in self.tracks.items()
        }
        for (video_id, expression_id), own in self.by_expression.items():
            videos[video_id]["expressions"][expression_id] = {
                "tracks": list(own.tracks),
                "scores": {text_id: row.tolist() for text_id, row in own.by_text.items()},
            }
        return {"format_version": FORMAT_VERSION, "provenance": self.provenance, "videos": videos}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "Scores":
        """Return the scores that ``as_json`` was called on, exactly."""
        by_expression = {
            (video_id, expression_id): ExpressionScores(
                tuple(own["tracks"]),
                {text_id: np.array(row, np.float32) for text_id, row in own["scores"].items()},
            )
            for video_id, video in content["videos"].items()
            for expression_id, own in video["expressions"].items()
        }
        tracks = {video_id: video["tracks"] for video_id, video in content["videos"].items()}
        return cls(by_expression, tracks, content["provenance"])


class ScoreCache:
    """Scores of earlier runs in a folder, one file for everything that they depend on.

    Several processes may use it at once; at worst they compute the same scores twice.

    Args:
        folder: folder of the cache.
        key: everything that the scores depend on, in JSON's types.
    """

    def __init__(self, folder: Path, key: Mapping[str, Any]) -> None:
        self.path = folder / f"{_digest(key)}.json"

    def read(self) -> Scores | None:
        """Return the scores of an earlier run; None if there are none, or the file is damaged.

        Raises:
            FileRefused: if the system does not let the file be read.
        """
        if not is_there(self.path):
            return None
        try:
            found = read_json(self.path, "The scores are computed again.")
            if found["sha256"] == _digest(found["scores"]):
                log.info("%s: using the scores of an earlier run", self.path)
                return Scores.from_json(found["scores"])
        except (DamagedFile, KeyError, TypeError):
            pass
        log.warning("%s: damaged. The scores are computed again.", self.path)
        return None

    def write(self, scores: Scores) -> None:
        """Store scores; a folder that cannot be written is only a warning."""
        content = scores.as_json()
        try:
            write_json(self.path, {"sha256": _digest(content), "scores": content})
            files = sorted(self.path.parent.glob("*.json"), key=lambda path: path.stat().st_mtime)
            for path in files[:-MAX_CACHED]:
                path.unlink(missing_ok=True)
        except OSError as error:
            log.warning("%s: scores cannot be cached (%s).", self.path, error.strerror)


def score_expressions(
    scorer: Scorer,
    sources: TrackSources,
    expressions: Sequence[Expression],
    *,
    videos: Mapping[str, Video] | None = None,
    others: OtherTexts | None = None,
) -> Scores:
    """Score the tracks that may answer each expression.

    Args:
        scorer: gives the scores.
        sources: tracks of the split.
        expressions: to score; one without tracks gets (0,) scores.
        videos: frames by video id.
        others: expressions whose text is scored for an expression's tracks as well.

    Returns:
        The scores, video by video.
    """
    others = others if others and scorer.reads_any_text else {}
    by_expression: dict[tuple[str, str], ExpressionScores] = {}
    tracks: dict[str, list[dict[str, Any]]] = {}
    by_video = group_by_video(expressions)
    with progress("scoring", len(by_video)) as advance:
        for video_id, of_video in by_video.items():
            video = sources.read(of_video)
            tracks[video_id] = _describe(video)
            by_candidates: dict[tuple[int, ...], list[Expression]] = {}
            for expression in of_video:  # those that choose among the same tracks go together
                candidates = video.candidates[expression.expression_id]
                by_candidates.setdefault(candidates, []).append(expression)
            for candidates, group in by_candidates.items():
                other = {e: others.get((video_id, e.expression_id)) for e in group}
                given = {e: [text for text in (e, other[e]) if text is not None] for e in group}
                texts = list(dict.fromkeys([*group, *chain.from_iterable(given.values())]))
                rows = scorer.score(video, candidates, texts, (videos or {}).get(video_id))
                row_of = dict(zip(texts, rows, strict=True))
                for expression, of_texts in given.items():
                    by_text = {text.expression_id: row_of[text] for text in of_texts}
                    key = (video_id, expression.expression_id)
                    by_expression[key] = ExpressionScores(candidates, by_text)
            advance(f"{video.video_id}: {len(video.masklets)} tracks, {len(of_video)} expressions")
    return Scores(by_expression, tracks)


def group_by_video(expressions: Sequence[Expression]) -> dict[str, list[Expression]]:
    """Group expressions by video, both in the order of their first appearance."""
    videos: dict[str, list[Expression]] = {}
    for expression in expressions:
        videos.setdefault(expression.video_id, []).append(expression)
    return videos


def _describe(video: VideoTracks) -> list[dict[str, Any]]:
    """Describe each track; numbers count from 0 within an entry of a source."""
    counts: Counter[tuple[str, str]] = Counter()
    described = []
    for prompt, made_for in zip(video.prompts, video.made_for, strict=True):
        number = counts[prompt.source, made_for]
        counts[prompt.source, made_for] += 1
        place: dict[str, Any] = {"prompt_frame": prompt.frame_idx, "prompt_area": prompt.area}
        names = {"source": prompt.source, "expression": made_for or None, "number": number}
        described.append({**names, **place})
    return described


def _digest(content: Any) -> str:
    text = json.dumps(content, sort_keys=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()
