"""Means over expressions, with the names that make them numbers of something."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from sola.evaluation.oracle import METHOD
from sola.evaluation.protocol import ANSWERS, ORACLE, OTHER_TEXT, SELECTION, ExpressionResult
from sola.evaluation.scorer import Score

SELECTION_WHERE_OTHER = "selection_where_other_text"
"""The plain selection on the expressions that have another text: what ``OTHER_TEXT`` falls from."""
CURVE_THRESHOLDS = tuple(round(0.1 * step, 1) for step in range(1, 10))


def summarise(
    results: Sequence[ExpressionResult], curve_thresholds: Sequence[float] = ()
) -> dict[str, Any]:
    """All means of an evaluation, ready for JSON.

    Args:
        results: one an expression.
        curve_thresholds: those that the results' curves were measured at.

    Returns:
        "results" by answer, "by_kind" by kind of expression and answer, each {"J", "F", "J&F" in
        [0, 1], or None without expressions; "num_expressions"}; "curve", "oracle", "left_out".
    """
    kinds = sorted({result.expression.kind for result in results})
    num_exact = sum(result.oracle_is_exact for result in results)
    num_other = sum(OTHER_TEXT in result.answers for result in results)
    return {
        "results": _means(results, ANSWERS),
        "by_kind": {
            kind: _means([r for r in results if r.expression.kind == kind], (SELECTION, ORACLE))
            for kind in kinds
        },
        "curve": [
            {"threshold": threshold, **_mean([result.curve[i] for result in results])}
            for i, threshold in enumerate(curve_thresholds)
        ],
        "oracle": {
            "method": METHOD,
            "num_exact": num_exact,
            "num_greedy": len(results) - num_exact,
        },
        "left_out": {OTHER_TEXT: len(results) - num_other},
    }


def list_results(results: Sequence[ExpressionResult]) -> list[dict[str, Any]]:
    """One entry an expression, ready for JSON: what was selected and what it scored."""
    return [
        {
            "video": result.expression.video_id,
            "expression": result.expression.expression_id,
            "text": result.expression.text,
            "kind": result.expression.kind,
            "other_expression": result.other_expression_id,
            "oracle_is_exact": result.oracle_is_exact,
            "answers": {
                name: {"tracks": list(answer.selected), **_as_json(answer.score)}
                for name, answer in result.answers.items()
            },
        }
        for result in results
    ]


def _means(results: Sequence[ExpressionResult], names: Iterable[str]) -> dict[str, Any]:
    with_other = [result for result in results if OTHER_TEXT in result.answers]
    return {
        **{name: _mean([r.answers[name].score for r in results]) for name in names},
        SELECTION_WHERE_OTHER: _mean([r.answers[SELECTION].score for r in with_other]),
        OTHER_TEXT: _mean([r.answers[OTHER_TEXT].score for r in with_other]),
    }


def _mean(scores: Sequence[Score]) -> dict[str, Any]:
    if not scores:
        return {"J": None, "F": None, "J&F": None, "num_expressions": 0}
    mean = Score(*(float(value) for value in np.mean(scores, axis=0)))
    return {**_as_json(mean), "num_expressions": len(scores)}


def _as_json(score: Score) -> dict[str, float]:
    return {"J": score.j, "F": score.boundary_f, "J&F": score.jf}
