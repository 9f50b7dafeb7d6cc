"""Scores of the tracks that may answer an expression: computed once and saved."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sola.config.progress import progress
from sola.evaluation.scorers import Scorer
from sola.evaluation.tracks import TrackSources, VideoTracks
from sola.files import write_json
from sola.types import Expression, Video

FORMAT_VERSION = 2
OtherTexts = Mapping[tuple[str, str], Expression]
"""(video id, expression id) -> another expression of the video, see ``choose_other_texts``."""


@dataclass(frozen=True)
class ExpressionScores:
    """Scores of the N tracks that may answer one expression."""

    tracks: tuple[int, ...]
    """N, their indices among the tracks of the video, ascending."""
    by_text: dict[str, NDArray[np.float32]]
    """Id of the expression whose text was given to the selector -> (N,) in [0, 1]. The first is the
    expression's own; another is there for comparison."""


@dataclass(frozen=True)
class Scores:
    """Scores of all expressions of a split, and what they came from."""

    by_expression: dict[tuple[str, str], ExpressionScores]
    """By (video id, expression id)."""
    tracks: dict[str, list[dict[str, Any]]]
    """Video id -> per track: its prompt source, the expression that it was made for (None: every
    one of the video), its number among these, frame and area of its prompt."""
    provenance: dict[str, Any] = field(default_factory=dict)
    """Names of what was scored by what."""

    @property
    def has_other_texts(self) -> bool:
        """Whether tracks were scored for another sentence of the video, too."""
        return any(len(own.by_text) > 1 for own in self.by_expression.values())

    def of(self, expression: Expression) -> ExpressionScores:
        """Scores of one expression's tracks.

        Raises:
            ValueError: if the expression has none.
        """
        key = (expression.video_id, expression.expression_id)
        if key not in self.by_expression:
            raise ValueError(f"no scores of video {key[0]}, expression {key[1]}; score it first")
        return self.by_expression[key]

    def part(self, expressions: Sequence[Expression]) -> "Scores":
        """Scores of some expressions alone.

        Raises:
            ValueError: if one of them has none.
        """
        own = {(e.video_id, e.expression_id): self.of(e) for e in expressions}
        return Scores(own, {}, self.provenance)

    def select(
        self, expression: Expression, threshold: float, *, text_of: Expression | None = None
    ) -> frozenset[int]:
        """Tracks of an expression whose score is above the threshold; see ``selected``."""
        return frozenset(self.selected(expression, threshold, text_of=text_of))

    def selected(
        self, expression: Expression, threshold: float, *, text_of: Expression | None = None
    ) -> dict[int, float]:
        """Tracks of an expression whose score is above the threshold, and their scores.

        Args:
            expression: the one to answer.
            threshold: in [0, 1].
            text_of: another expression, whose text is given instead of its own.

        Returns:
            Indices among the tracks of the video -> scores.

        Raises:
            ValueError: if the expression has no scores, or none under that text.
        """
        row = self.row(expression, text_of=text_of)
        return {track: score for track, score in row.items() if score > threshold}

    def row(self, expression: Expression, *, text_of: Expression | None = None) -> dict[int, float]:
        """The tracks of an expression and their scores; see ``selected``."""
        own, text_id = self.of(expression), (text_of or expression).expression_id
        if text_id not in own.by_text:
            raise ValueError(
                f"no scores of video {expression.video_id}, expression "
                f"{expression.expression_id} under the text of expression {text_id}; score it first"
            )
        return dict(zip(own.tracks, own.by_text[text_id].tolist(), strict=True))

    def save(self, path: Path) -> None:
        """Writes scores.json, see ``as_json``: complete or not at all."""
        write_json(path, self.as_json())

    def as_json(self) -> dict[str, Any]:
        """What scores.json holds.

        Under "videos", a video has its "tracks" and its "expressions". These have "tracks", the
        indices of those among them that may answer, and "scores": by the id of the expression whose
        text was given, one number for each of these indices.
        """
        expressions: dict[str, dict[str, Any]] = {video_id: {} for video_id in self.tracks}
        for (video_id, expression_id), own in self.by_expression.items():
            expressions[video_id][expression_id] = {
                "tracks": list(own.tracks),
                "scores": {text_id: row.tolist() for text_id, row in own.by_text.items()},
            }
        return {
            "format_version": FORMAT_VERSION,
            "provenance": self.provenance,
            "videos": {
                video_id: {"tracks": self.tracks[video_id], "expressions": of_video}
                for video_id, of_video in expressions.items()
            },
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "Scores":
        """From what ``as_json`` made; every score is the same number."""
        by_expression = {
            (video_id, expression_id): ExpressionScores(
                tracks=tuple(own["tracks"]),
                by_text={
                    text_id: np.array(row, dtype=np.float32)
                    for text_id, row in own["scores"].items()
                },
            )
            for video_id, video in content["videos"].items()
            for expression_id, own in video["expressions"].items()
        }
        tracks = {video_id: video["tracks"] for video_id, video in content["videos"].items()}
        return cls(by_expression, tracks, content["provenance"])


def score_expressions(
    scorer: Scorer,
    sources: TrackSources,
    expressions: Sequence[Expression],
    *,
    videos: Mapping[str, Video] | None = None,
    others: OtherTexts | None = None,
    provenance: Mapping[str, Any] | None = None,
) -> Scores:
    """Score the tracks that may answer each expression.

    Args:
        scorer: gives the scores.
        sources: tracks of the split.
        expressions: to score; one without tracks gets (0,) scores.
        videos: where frames lie, by id.
        others: whose text to give to an expression's tracks as well, for comparison.
        provenance: kept with the scores.

    Returns:
        The scores, video by video.
    """
    known = others if others and scorer.reads_any_text else {}
    by_expression: dict[tuple[str, str], ExpressionScores] = {}
    tracks: dict[str, list[dict[str, Any]]] = {}
    by_video = group_by_video(expressions)
    with progress("scoring", len(by_video)) as advance:
        for video_id, of_video in by_video.items():
            video = sources.read(of_video)
            tracks[video_id] = _describe(video)
            for candidates, group in _group_by_candidates(video, of_video).items():
                given = {e: _texts_given(e, known) for e in group}
                texts = list(dict.fromkeys([*group, *chain.from_iterable(given.values())]))
                rows = scorer.score(video, candidates, texts, (videos or {}).get(video_id))
                row_of = dict(zip(texts, rows, strict=True))
                for expression, of_texts in given.items():
                    by_text = {text.expression_id: row_of[text] for text in of_texts}
                    key = (video_id, expression.expression_id)
                    by_expression[key] = ExpressionScores(candidates, by_text)
            advance(f"{video.video_id}: {len(video.masklets)} tracks, {len(of_video)} expressions")
    return Scores(by_expression, tracks, dict(provenance or {}))


def group_by_video(expressions: Sequence[Expression]) -> dict[str, list[Expression]]:
    """Expressions by video, both in their first order."""
    videos: dict[str, list[Expression]] = {}
    for expression in expressions:
        videos.setdefault(expression.video_id, []).append(expression)
    return videos


def _group_by_candidates(
    video: VideoTracks, expressions: Sequence[Expression]
) -> dict[tuple[int, ...], list[Expression]]:
    """Expressions that choose among the same tracks, which are scored together."""
    groups: dict[tuple[int, ...], list[Expression]] = {}
    for expression in expressions:
        groups.setdefault(video.candidates[expression.expression_id], []).append(expression)
    return groups


def _texts_given(expression: Expression, others: OtherTexts) -> list[Expression]:
    """Expressions whose text is given to one's tracks: its own, and another where there is one."""
    other = others.get((expression.video_id, expression.expression_id))
    return [expression] if other is None else [expression, other]


def _describe(video: VideoTracks) -> list[dict[str, Any]]:
    """One entry a track; its number counts from 0 within its entry of its source."""
    counts: Counter[tuple[str, str]] = Counter()
    described = []
    for prompt, made_for in zip(video.prompts, video.made_for, strict=True):
        described.append(
            {
                "source": prompt.source,
                "expression": made_for or None,
                "number": counts[prompt.source, made_for],
                "prompt_frame": prompt.frame_idx,
                "prompt_area": prompt.area,
            }
        )
        counts[prompt.source, made_for] += 1
    return described
