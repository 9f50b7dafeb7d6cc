"""Scores of each expression's candidate tracks."""

import logging
import platform
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import distributions
from itertools import chain
from pathlib import Path
from typing import Any

from sola.config.console import progress
from sola.datasets import Split
from sola.evaluation.scorers import Scorer
from sola.evaluation.tracks import TrackSources, VideoReader, VideoTracks
from sola.files import write_json
from sola.shards import ShardReader
from sola.types import Expression, Video

log = logging.getLogger(__name__)

SCORES_FILE = "scores.json"
FORMAT_VERSION = 2
PACKAGES = ("sola-rvos", "torch", "numpy", "pycocotools", "opencv-python-headless", "transformers")
# (video id, expression id) -> another expression of the video, see ``choose_other_texts``
OtherTexts = Mapping[tuple[str, str], Expression]
# id of the expression whose text was scored -> index of a track of the video -> score in [0, 1]
ScoresByText = dict[str, dict[int, float]]


@dataclass(frozen=True)
class Scores:
    """Scores of all expressions of a split.

    Attributes:
        by_expression: (video id, expression id) -> scores of the expression's candidate tracks
            under its own text and, for comparison, under the text of another expression.
        tracks: video id -> for each track its prompt source, the expression it was made for (None:
            all of the video), its number among these, and frame and area of its prompt.
    """

    by_expression: dict[tuple[str, str], ScoresByText]
    tracks: dict[str, list[dict[str, Any]]]

    def row(self, expression: Expression, *, text_id: str | None = None) -> dict[int, float]:
        """Return the scores of an expression's tracks, ascending by track.

        Args:
            expression: the expression to answer.
            text_id: id of another expression, whose text was scored instead.

        Raises:
            KeyError: if the expression was not scored, or not under that text.
        """
        return self.by_expression[_key(expression)][text_id or expression.expression_id]

    def other_text(self, expression: Expression) -> str | None:
        """Return the id of the other expression whose text was scored too, if any."""
        text_ids = self.by_expression[_key(expression)]
        return next((each for each in text_ids if each != expression.expression_id), None)

    def select(
        self, expression: Expression, threshold: float, *, text_id: str | None = None
    ) -> tuple[int, ...]:
        """Return the tracks of an expression that score above the threshold; see ``row``."""
        row = self.row(expression, text_id=text_id)
        return tuple(idx for idx, score in row.items() if score > threshold)


@dataclass(frozen=True)
class ScoredSplit:
    """A split with its tracks and their scores, the input of evaluation and prediction.

    Attributes:
        dataset: the split.
        sources: reader of its tracks.
        scores: scores of all expressions.
        provenance: data set, split, scorer, tracks and versions, recorded with every result.
        threshold: a track is selected if its score is above this.
    """

    dataset: Split
    sources: VideoReader
    scores: Scores
    provenance: dict[str, Any]
    threshold: float = 0.5

    def save_scores(self, path: Path) -> None:
        """Write scores.json: the scores by video, and their provenance.

        A video has "tracks" and "expressions". An expression has "tracks", the indices of its
        candidates, and "scores", one per candidate, by the id of the expression whose text was
        scored.
        """
        videos: dict[str, Any] = {
            video_id: {"tracks": tracks, "expressions": {}}
            for video_id, tracks in self.scores.tracks.items()
        }
        for (video_id, expression_id), by_text in self.scores.by_expression.items():
            videos[video_id]["expressions"][expression_id] = {
                "tracks": list(by_text[expression_id]),
                "scores": {text_id: list(row.values()) for text_id, row in by_text.items()},
            }
        names = {"format_version": FORMAT_VERSION, "provenance": self.provenance}
        write_json(path, {**names, "videos": videos})


def score_expressions(
    scorer: Scorer,
    sources: TrackSources,
    expressions: Sequence[Expression],
    *,
    videos: Mapping[str, Video] | None = None,
    others: OtherTexts | None = None,
) -> Scores:
    """Score the candidate tracks of each expression.

    Args:
        scorer: computes the scores.
        sources: tracks of the split.
        expressions: expressions to score; one without tracks gets no scores.
        videos: frames by video id.
        others: for each expression another one, whose text is scored for its tracks as well.

    Returns:
        The scores, video by video.
    """
    others = others if others and scorer.reads_any_text else {}
    scores, by_video = Scores({}, {}), group_by_video(expressions)
    with progress("scoring", len(by_video)) as advance:
        for video_id, of_video in by_video.items():
            video = sources.read(of_video)
            scores.tracks[video_id] = _describe_tracks(video)
            by_candidates: dict[tuple[int, ...], list[Expression]] = {}
            for expression in of_video:  # expressions with the same candidates are scored at once
                candidates = video.candidates[expression.expression_id]
                by_candidates.setdefault(candidates, []).append(expression)
            for candidates, group in by_candidates.items():
                given = {e: [e, others[_key(e)]] if _key(e) in others else [e] for e in group}
                texts = list(dict.fromkeys([*group, *chain.from_iterable(given.values())]))
                rows = scorer.score(video, candidates, texts, (videos or {}).get(video_id))
                scored = [dict(zip(candidates, row, strict=True)) for row in rows.tolist()]
                row_of = dict(zip(texts, scored, strict=True))
                for expression, of_texts in given.items():
                    by_text = {text.expression_id: row_of[text] for text in of_texts}
                    scores.by_expression[_key(expression)] = by_text
            advance(f"{video.video_id}: {len(video.masklets)} tracks, {len(of_video)} expressions")
    return scores


def choose_other_texts(
    expressions: Sequence[Expression], seed: int
) -> dict[tuple[str, str], Expression]:
    """Choose a distractor for each expression: one of the same video that shares no object.

    A selector that uses its sentence must fail with the distractor's text. Both expressions must
    refer to at least one object. The choice depends only on the seed and the expressions of the
    video.

    Args:
        expressions: all expressions of a split.
        seed: seed of the choice.

    Returns:
        (video id, expression id) -> the distractor; expressions without one are left out.
    """
    chosen = {}
    for video_id, of_video in group_by_video([e for e in expressions if e.object_ids]).items():
        for expression in of_video:
            objects = set(expression.object_ids or ())
            partners = [e for e in of_video if objects.isdisjoint(e.object_ids or ())]
            if partners:
                draw = random.Random(f"{seed}/{video_id}/{expression.expression_id}")
                chosen[video_id, expression.expression_id] = draw.choice(partners)
    return chosen


def group_by_video(expressions: Sequence[Expression]) -> dict[str, list[Expression]]:
    """Group expressions by video, both in the order of their first appearance."""
    videos: dict[str, list[Expression]] = {}
    for expression in expressions:
        videos.setdefault(expression.video_id, []).append(expression)
    return videos


def versions() -> dict[str, str]:
    """Return the versions of Python and of ``PACKAGES``; "" for a package not installed."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        found[name] = next((package.version for package in distributions(name=name)), "")
    return found


def _key(expression: Expression) -> tuple[str, str]:
    return expression.video_id, expression.expression_id


def _describe_tracks(video: VideoTracks) -> list[dict[str, Any]]:
    """Describe each track; its number counts from 0 within its source and expression."""
    counts: Counter[tuple[str, str]] = Counter()
    described = []
    for prompt, made_for in zip(video.prompts, video.made_for, strict=True):
        number = counts[prompt.source, made_for]
        counts[prompt.source, made_for] += 1
        place: dict[str, Any] = {"prompt_frame": prompt.frame_idx, "prompt_area": prompt.area}
        names = {"source": prompt.source, "expression": made_for or None, "number": number}
        described.append({**names, **place})
    return described


def describe_reader(reader: ShardReader) -> dict[str, Any]:
    """Return the provenance of the tracks of a source."""
    names = ("source", "tracker", "checkpoint_sha256", "detector_sha256", "format_version")
    own = {k: v for k, v in reader.index.items() if k.endswith("_sha256") and isinstance(v, str)}
    return {"dir": str(reader.tracks_dir)} | {name: reader.index.get(name) for name in names} | own
