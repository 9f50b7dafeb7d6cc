"""What is measured of each expression: the selection, and the answers it is compared with."""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np

from sola.config.progress import progress
from sola.errors import UserError
from sola.evaluation.curve import Curve, Scored, trace
from sola.evaluation.groups import groups_of
from sola.evaluation.oracle import OracleOfVideo
from sola.evaluation.other_text import choose_other_texts
from sola.evaluation.parallel import map_in_order
from sola.evaluation.scorer import Score, VideoScorer
from sola.evaluation.scores import Scores, group_by_video
from sola.evaluation.tracks import VideoReader, VideoTracks
from sola.masks import areas
from sola.types import Expression, Masklet, Video

SELECTION = "selection"
ORACLE = "oracle"
BEST_TRACK = "best_track"
ALL_TRACKS = "all_tracks"
LARGEST_TRACK = "largest_track"
NONE = "none"
OTHER_TEXT = "other_text"
ANSWERS = (SELECTION, ORACLE, BEST_TRACK, ALL_TRACKS, LARGEST_TRACK, NONE)
"""Answers that every expression has; ``OTHER_TEXT`` exists where the video has a partner for it."""


class Benchmark(Protocol):
    """What is needed of a data set (``sola.datasets.Split``)."""

    name: str
    split: str
    protocol: str

    @property
    def videos(self) -> dict[str, Video]:
        """Videos by id."""

    @property
    def expressions(self) -> list[Expression]:
        """All expressions of the split."""

    @property
    def has_masks(self) -> bool:
        """Whether there is ground truth."""

    def ground_truth(self, video_id: str) -> dict[str, Masklet]:
        """Masklets of a video's objects."""


AnswerAs = tuple[Expression, Expression | None]
"""An expression, and another one whose text is given to its tracks; None: none is, or its own."""


@dataclass(frozen=True)
class Answer:
    """One selection of tracks and what it is worth."""

    selected: tuple[int, ...]
    """Indices among the tracks of the video."""
    score: Score
    is_empty: bool
    """Whether it has no pixel on any frame."""
    own: dict[str, float] = field(default_factory=dict)
    """Further numbers by name, see ``sola.evaluation.own_metrics``; {} where none are asked for."""


@dataclass(frozen=True)
class ExpressionResult:
    """Everything measured of one expression."""

    expression: Expression
    answers: dict[str, Answer]
    """By name: ``ANSWERS``, and ``OTHER_TEXT`` where it exists; see ``at_threshold``."""
    oracle_is_exact: bool
    oracle_by_source: dict[str, Answer]
    """By prompt source: the best choice among its tracks alone. Those without tracks are absent."""
    groups: dict[str, str]
    """Label by group, see ``groups_of``."""
    other_expression_id: str | None
    """Expression whose text was given instead in ``OTHER_TEXT``."""
    curve: Curve
    """The selection at every threshold."""
    other_curve: Curve | None
    """The same of ``OTHER_TEXT``."""


@dataclass(frozen=True)
class VideoTask:
    """All that is needed to measure one video; plain values, which any process can take."""

    where: str
    """For messages."""
    masklets: tuple[Masklet, ...]
    track_sources: tuple[str, ...]
    """Prompt source of each track; () where they have none."""
    ground_truth: Mapping[str, Masklet]
    expressions: tuple[Expression, ...]
    scores: Scores
    """Of these expressions."""
    others: tuple[Expression | None, ...]
    """Whose text is given to each expression's tracks as well."""


class KeptResults(Protocol):
    """Where results of videos are kept that do not depend on the threshold."""

    def read(self, task: VideoTask) -> list[ExpressionResult] | None:
        """Those of the very same task; None if there are none."""

    def write(self, task: VideoTask, results: Sequence[ExpressionResult]) -> None:
        """Keeps them."""


class _NothingKept:
    def read(self, task: VideoTask) -> None:
        return None

    def write(self, task: VideoTask, results: Sequence[ExpressionResult]) -> None:
        pass


def evaluate_expressions(
    dataset: Benchmark,
    sources: VideoReader,
    scores: Scores,
    *,
    threshold: float,
    seed: int | None,
    num_workers: int = 0,
    kept: KeptResults | None = None,
) -> list[ExpressionResult]:
    """Measures every expression of a split.

    Args:
        dataset: the split, with ground truth.
        sources: its tracks; an expression without any is answered by empty masks.
        scores: of every expression, also under the other texts of this seed.
        threshold: a track is selected when its score is above this.
        seed: of the choice of other texts; None: none are given.
        num_workers: further processes that compute, which changes time alone; 0: this one does.
        kept: videos that it has are not measured again; takes what is measured.

    Returns:
        One result an expression, video by video; none is left out.

    Raises:
        UserError: if an expression's objects are unknown, scores are missing, or tracks, scores
            and ground truth do not fit.
    """
    check_ground_truth(dataset)
    others = {} if seed is None else choose_other_texts(dataset.expressions, seed)
    videos = group_by_video(dataset.expressions)
    kept = kept or _NothingKept()
    results: dict[str, list[ExpressionResult]] = {}
    to_measure: deque[VideoTask] = deque()

    def tasks() -> Iterator[VideoTask]:
        for video_id, expressions in videos.items():
            video = _read_tracks(sources, scores, expressions)
            task = VideoTask(
                where=f"video {video_id} of {dataset.name}/{dataset.split}",
                masklets=video.masklets,
                track_sources=tuple(prompt.source for prompt in video.prompts),
                ground_truth=dataset.ground_truth(video_id),
                expressions=tuple(expressions),
                scores=scores.part(expressions),
                others=tuple(others.get((video_id, e.expression_id)) for e in expressions),
            )
            found = kept.read(task)
            if found is None:
                to_measure.append(task)
                yield task
            else:
                results[video_id] = found
                advance("measured before")

    with progress(f"J and F of {dataset.name}/{dataset.split}", len(videos)) as advance:
        for of_video in map_in_order(measure_video, tasks(), num_workers):
            task = to_measure.popleft()
            kept.write(task, of_video)
            results[task.expressions[0].video_id] = of_video
            advance("")
    in_order = (result for video_id in videos for result in results[video_id])
    return [at_threshold(result, scores, threshold) for result in in_order]


def measure_video(task: VideoTask) -> list[ExpressionResult]:
    """Measures the expressions of one video, but for the answers that ``at_threshold`` adds."""
    try:
        scorer = VideoScorer(task.masklets, task.ground_truth)
    except ValueError as error:
        raise UserError(f"{task.where}: tracks and ground truth do not fit: {error}") from error
    oracle = OracleOfVideo(scorer)
    pairs = list(zip(task.expressions, task.others, strict=True))
    curves = _trace_all(task, scorer, pairs)
    return [_measure(task, scorer, oracle, curves, pair) for pair in pairs]


def at_threshold(result: ExpressionResult, scores: Scores, threshold: float) -> ExpressionResult:
    """A result with the answers that depend on the threshold: the selection, and another text's.

    Args:
        result: of one expression.
        scores: of the tracks of at least this expression.
        threshold: a track is selected when its score is above this.
    """

    def answer(curve: Curve, text_id: str) -> Answer:
        place = curve.place(threshold)
        text_of = replace(result.expression, expression_id=text_id)
        selected = scores.select(result.expression, threshold, text_of=text_of)
        return Answer(tuple(sorted(selected)), curve.values[place], curve.is_empty[place])

    selection = answer(result.curve, result.expression.expression_id)
    answers = {SELECTION: selection, **result.answers} | {SELECTION: selection}
    if result.other_curve is not None and result.other_expression_id is not None:
        answers[OTHER_TEXT] = answer(result.other_curve, result.other_expression_id)
    return replace(result, answers=answers)


def _trace_all(
    task: VideoTask, scorer: VideoScorer, pairs: Sequence[AnswerAs]
) -> dict[AnswerAs, Curve]:
    """By expression, and the one whose text is given (None: its own)."""
    asked: list[AnswerAs] = [(expression, None) for expression, _ in pairs]
    asked += [pair for pair in pairs if pair[1] is not None]
    scored = []
    for expression, text_of in asked:
        row = task.scores.row(expression, text_of=text_of)
        scored.append(Scored(tuple(row), tuple(row.values()), expression.object_ids or ()))
    return dict(zip(asked, trace(scorer, scored), strict=True))


def _measure(
    task: VideoTask,
    scorer: VideoScorer,
    oracle: OracleOfVideo,
    curves: Mapping[AnswerAs, Curve],
    pair: AnswerAs,
) -> ExpressionResult:
    expression, other = pair
    objects, tracks = expression.object_ids or (), task.scores.of(expression).tracks
    best = oracle(objects, tracks)
    by_source = {
        source: oracle(objects, own)
        for source, own in _by_source(tracks, task.track_sources).items()
    }
    selections = {
        # what is greedy among all tracks may end below what one source's own allow
        ORACLE: max([best, *by_source.values()], key=lambda found: found.score.jf).selected,
        BEST_TRACK: oracle.best_track(objects, tracks),
        ALL_TRACKS: frozenset(tracks),
        LARGEST_TRACK: largest_track(scorer.tracks, tracks),
        NONE: frozenset[int](),
    }

    def answer(selected: frozenset[int]) -> Answer:
        return Answer(
            selected=tuple(sorted(selected)),
            score=scorer.score(selected, objects),
            is_empty=scorer.is_empty(selected),
        )

    return ExpressionResult(
        expression=expression,
        answers={name: answer(selected) for name, selected in selections.items()},
        oracle_is_exact=best.is_exact,
        oracle_by_source={source: answer(found.selected) for source, found in by_source.items()},
        groups=groups_of(expression, scorer.union(objects)),
        other_expression_id=None if other is None else other.expression_id,
        curve=curves[expression, None],
        other_curve=None if other is None else curves[pair],
    )


def largest_track(masklets: Sequence[Masklet], tracks: Sequence[int]) -> frozenset[int]:
    """The largest of some tracks by pixels over all frames, the first of equals; none of none.

    Args:
        masklets: all tracks of a video.
        tracks: indices of those to choose among.
    """
    if not tracks:
        return frozenset()
    num_pixels = areas([masklets[idx] for idx in tracks]).sum(axis=1, dtype=np.int64)
    return frozenset([tracks[int(np.argmax(num_pixels))]])


def _by_source(tracks: Sequence[int], sources: Sequence[str]) -> dict[str, list[int]]:
    """The tracks of each prompt source that has any."""
    found: dict[str, list[int]] = {}
    for idx in tracks if sources else ():
        found.setdefault(sources[idx], []).append(idx)
    return found


def check_ground_truth(dataset: Benchmark) -> None:
    """Refuses a split on which nothing can be measured.

    Raises:
        UserError: if the split has no expressions or no ground truth.
    """
    where = f"split {dataset.split} of {dataset.name}"
    if not dataset.has_masks:
        raise UserError(
            f"{where} has no ground truth here, so nothing can be measured. Run predict.py for "
            "masks to hand in, or choose a split with ground truth."
        )
    if not dataset.expressions:
        raise UserError(f"{where} has no expressions; check its meta_expressions.json")
    unknown = [e for e in dataset.expressions if e.object_ids is None]
    if unknown:
        raise UserError(
            f"{where}: {len(unknown)} expressions do not say which objects they mean, the first is "
            f"{unknown[0].expression_id} of video {unknown[0].video_id}. Get its annotations again."
        )


def _read_tracks(
    sources: VideoReader, scores: Scores, expressions: Sequence[Expression]
) -> VideoTracks:
    """A video's tracks, which must be those that the scores are of."""
    video = sources.read(expressions)
    for expression in expressions:
        scored, found = scores.of(expression).tracks, video.candidates[expression.expression_id]
        if scored != found:
            raise UserError(
                f"{expression.video_id}: scores of the tracks {list(scored)} for expression "
                f"{expression.expression_id}, which now has the tracks {list(found)}: they have "
                "changed since. Score again."
            )
    return video
