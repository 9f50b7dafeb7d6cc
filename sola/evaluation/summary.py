"""Means over expressions, with the names that make them numbers of something."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from sola.evaluation import intervals
from sola.evaluation.curve import CURVE_THRESHOLDS, best_threshold, mean_curve
from sola.evaluation.groups import LABELS, MEANINGS
from sola.evaluation.oracle import METHOD
from sola.evaluation.protocol import (
    ANSWERS,
    NONE,
    ORACLE,
    OTHER_TEXT,
    SELECTION,
    Answer,
    ExpressionResult,
)
from sola.evaluation.scorer import Score

SELECTION_WHERE_OTHER = "selection_where_other_text"
"""The plain selection on the expressions that have another text: what ``OTHER_TEXT`` falls from."""
MEASURES = ("J", "F", "J&F")


def summarise(results: Sequence[ExpressionResult]) -> dict[str, Any]:
    """All means of an evaluation, ready for JSON.

    Args:
        results: one an expression; all have answers of the same names, but for ``OTHER_TEXT``.

    Returns:
        "results" by answer, "by_kind" by kind of expression and answer, "by_group" by group, label
        and answer, each {"J", "F", "J&F" in [0, 1], or None without expressions, and the further
        numbers of the answers; "interval", the
        ends of each by its name, or None with fewer than two videos; "num_expressions",
        "num_videos"}; "groups", "intervals"; and where there is an oracle: "by_source", "losses",
        "curve" of the selection at ``CURVE_THRESHOLDS``, "best_threshold" of all there are,
        "oracle", "left_out".
    """
    names = [name for name in ANSWERS if all(name in result.answers for result in results)]
    summary = {
        "results": _means(results, names),
        "by_kind": {
            kind: _means(of_kind, [name for name in names if name in (SELECTION, ORACLE)])
            for kind, of_kind in sorted(
                _split(results, [r.expression.kind for r in results]).items()
            )
        },
        "by_group": _by_group(results, names),
        "groups": MEANINGS,
        "intervals": intervals.METHOD,
    }
    return summary | (_about_oracle(results) if ORACLE in names else {})


def list_results(results: Sequence[ExpressionResult]) -> list[dict[str, Any]]:
    """One entry an expression, ready for JSON: what was selected, where tracks were, and scores."""
    return [
        {
            "video": result.expression.video_id,
            "expression": result.expression.expression_id,
            "text": result.expression.text,
            "kind": result.expression.kind,
            "objects": list(result.expression.object_ids or ()),
            "groups": result.groups,
            **(_describe_choice(result) if ORACLE in result.answers else {}),
            "answers": {
                name: _describe_answer(answer, has_tracks=ORACLE in result.answers)
                for name, answer in result.answers.items()
            },
        }
        for result in results
    ]


def _describe_choice(result: ExpressionResult) -> dict[str, Any]:
    return {
        "other_expression": result.other_expression_id,
        "oracle_is_exact": result.oracle_is_exact,
        "oracle_by_source": {
            source: _describe_answer(answer, has_tracks=True)
            for source, answer in result.oracle_by_source.items()
        },
    }


def _describe_answer(answer: Answer, *, has_tracks: bool) -> dict[str, Any]:
    tracks = {"tracks": list(answer.selected)} if has_tracks else {}
    return {**tracks, **_as_json(answer.score), **answer.own}


def _about_oracle(results: Sequence[ExpressionResult]) -> dict[str, Any]:
    num_exact = sum(result.oracle_is_exact for result in results)
    num_other = sum(OTHER_TEXT in result.answers for result in results)
    by_source = _by_source(results)
    return {
        "by_source": by_source,
        "losses": _losses(results, by_source),
        "curve": [_at(results, threshold) for threshold in CURVE_THRESHOLDS],
        "best_threshold": _best(results),
        "oracle": {
            "method": METHOD,
            "num_exact": num_exact,
            "num_greedy": len(results) - num_exact,
        },
        "left_out": {OTHER_TEXT: len(results) - num_other},
    }


def _by_group(
    results: Sequence[ExpressionResult], names: Sequence[str]
) -> dict[str, dict[str, Any]]:
    shown = [name for name in names if name in (SELECTION, ORACLE)]
    by_group = {}
    for group, labels in LABELS.items():
        parts = _split(results, [result.groups[group] for result in results])
        by_group[group] = {
            label: {name: _measure_answer(parts[label], _answer_of(name)) for name in shown}
            for label in labels
            if label in parts
        }
    return by_group


def _by_source(results: Sequence[ExpressionResult]) -> dict[str, Any]:
    """The oracle among the tracks of each prompt source alone."""
    sources = dict.fromkeys(source for result in results for source in result.oracle_by_source)
    return {source: _measure_answer(results, _oracle_of(source)) for source in sources}


def _losses(
    results: Sequence[ExpressionResult], by_source: dict[str, Any]
) -> dict[str, dict[str, Any]]:
    """What lies between the selection and a perfect answer."""

    def lost_by_selection(result: ExpressionResult) -> Score:
        best, found = (result.answers[name].score for name in (ORACLE, SELECTION))
        return Score(best.j - found.j, best.boundary_f - found.boundary_f)

    def lost_by_generation(answer_of: AnswerOf) -> ScoreOf:
        def lost(result: ExpressionResult) -> Score:
            score = answer_of(result).score
            return Score(1 - score.j, 1 - score.boundary_f)

        return lost

    return {
        "generation": _measure(results, lost_by_generation(_answer_of(ORACLE))),
        "selection": _measure(results, lost_by_selection),
        **{
            f"generation from {source} alone": _measure(
                results, lost_by_generation(_oracle_of(source))
            )
            for source in by_source
        },
    }


ScoreOf = Callable[[ExpressionResult], Score]
AnswerOf = Callable[[ExpressionResult], Answer]


def _answer_of(name: str) -> AnswerOf:
    return lambda result: result.answers[name]


def _oracle_of(source: str) -> AnswerOf:
    """Nothing is selected where a source has no tracks."""
    return lambda result: result.oracle_by_source.get(source, result.answers[NONE])


def _split(
    results: Sequence[ExpressionResult], labels: Sequence[str]
) -> dict[str, list[ExpressionResult]]:
    parts: dict[str, list[ExpressionResult]] = defaultdict(list)
    for result, label in zip(results, labels, strict=True):
        parts[label].append(result)
    return parts


def _means(results: Sequence[ExpressionResult], names: Iterable[str]) -> dict[str, Any]:
    means = {name: _measure_answer(results, _answer_of(name)) for name in names}
    if ORACLE not in means:
        return means
    with_other = [result for result in results if OTHER_TEXT in result.answers]
    means[SELECTION_WHERE_OTHER] = _measure_answer(with_other, _answer_of(SELECTION))
    return means | {OTHER_TEXT: _measure_answer(with_other, _answer_of(OTHER_TEXT))}


def _measure_answer(results: Sequence[ExpressionResult], answer_of: AnswerOf) -> dict[str, Any]:
    """Mean and interval of an answer that each expression has."""
    return _measure(
        results,
        lambda result: answer_of(result).score,
        [answer_of(result).own for result in results],
    )


def _measure(
    results: Sequence[ExpressionResult],
    score_of: ScoreOf,
    own: Sequence[Mapping[str, float]] = (),
) -> dict[str, Any]:
    """Mean and interval of something that each expression has, and of its further numbers."""
    scores = [score_of(result) for result in results]
    own = own or [{}] * len(scores)
    further = list(own[0]) if own else []
    values = np.array(
        [(*score, score.jf, *of.values()) for score, of in zip(scores, own, strict=True)]
    ).reshape(-1, len(MEASURES) + len(further))
    sums, counts = intervals.sum_by_video([r.expression.video_id for r in results], values)
    ends = intervals.interval_of_mean(sums, counts)
    names = (*MEASURES, *further)
    interval = None if ends is None else dict(zip(names, map(list, ends), strict=True))
    means = {name: float(np.mean([of[name] for of in own])) for name in further}
    return {**_mean(scores), **means, "interval": interval, "num_videos": len(counts)}


def _at(results: Sequence[ExpressionResult], threshold: float) -> dict[str, Any]:
    return {"threshold": threshold, **_mean([result.curve.at(threshold) for result in results])}


def _best(results: Sequence[ExpressionResult]) -> dict[str, Any]:
    best = best_threshold(mean_curve([result.curve for result in results]))
    return {**_at(results, best.threshold), "from": best.lowest, "to": best.end}


def _mean(scores: Sequence[Score]) -> dict[str, Any]:
    if not scores:
        return {"J": None, "F": None, "J&F": None, "num_expressions": 0}
    mean = Score(*(float(value) for value in np.mean(scores, axis=0)))
    return {**_as_json(mean), "num_expressions": len(scores)}


def _as_json(score: Score) -> dict[str, float]:
    return {"J": score.j, "F": score.boundary_f, "J&F": score.jf}
