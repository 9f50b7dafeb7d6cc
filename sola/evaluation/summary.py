"""Means over expressions by answer, kind and group, as in evaluation.json."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sola.evaluation import measure
from sola.evaluation.curve import CURVE_THRESHOLDS, best_threshold, mean_curve
from sola.evaluation.intervals import MEASURES, METHOD, mean_with_interval
from sola.evaluation.measure import ORACLE, OTHER_TEXT, SELECTION, Answer, ExpressionResult
from sola.evaluation.oracle import METHOD as ORACLE_METHOD
from sola.evaluation.video_scorer import Score

# the selection on expressions that have a distractor, to compare ``OTHER_TEXT`` with
SELECTION_WHERE_OTHER = "selection_where_other_text"
ANSWERS = {
    SELECTION: "selection",
    ORACLE: "oracle (best choice of the same tracks)",
    measure.BEST_TRACK: "best single track",
    measure.ALL_TRACKS: "all tracks",
    measure.LARGEST_TRACK: "largest track",
    measure.NONE: "no track",
    SELECTION_WHERE_OTHER: "selection, if another text exists",
    OTHER_TEXT: "selection under another text",
}
"""Label of every answer, in the order of tables."""
IN_GROUPS = (SELECTION, ORACLE, SELECTION_WHERE_OTHER, OTHER_TEXT)  # answers by kind and group
PERFECT = Answer((), Score(1.0, 1.0), is_empty=False)
Results = Sequence[ExpressionResult]
AnswerOf = Callable[[ExpressionResult], Answer]


def summarise(results: Results) -> dict[str, Any]:
    """Return all means of an evaluation, ready for JSON.

    Args:
        results: one per expression; all have the same answers, except for ``OTHER_TEXT``.

    Returns:
        "results" by answer, "by_kind" by kind of expression and answer, and "by_group" by group,
        label and answer, each in the form of ``mean_with_interval``; "groups" and "intervals"; and
        if there is an oracle: "by_source", "losses", "curve" (of the selection at
        ``CURVE_THRESHOLDS``), "best_threshold" (of all thresholds), "oracle" and "left_out".
    """

    def divide(labels: Sequence[str], order: Sequence[str]) -> dict[str, Any]:
        pairs = list(zip(results, labels, strict=True))
        return {
            label: _means([result for result, own in pairs if own == label], IN_GROUPS)
            for label in order
            if label in labels
        }

    kinds = [result.expression.kind for result in results]
    summary = {
        "results": _means(results, tuple(ANSWERS)),
        "by_kind": divide(kinds, sorted(set(kinds))),
        "by_group": {
            group: divide([result.groups[group] for result in results], order)
            for group, order in measure.LABELS.items()
        },
        "groups": measure.MEANINGS,
        "intervals": METHOD,
    }
    return summary | (_about_oracle(results) if ORACLE in results[0].answers else {})


def list_results(results: Results) -> list[dict[str, Any]]:
    """Return one entry per expression, ready for JSON: selected tracks and scores by answer."""

    def described(answers: Mapping[str, Answer]) -> dict[str, Any]:
        return {n: {"tracks": list(a.selected), **_values(a)} for n, a in answers.items()}

    entries = []
    for result in results:
        expression, answers = result.expression, described(result.answers)
        entry: dict[str, Any] = {
            "video": expression.video_id,
            "expression": expression.expression_id,
            "text": expression.text,
            "kind": expression.kind,
            "objects": list(expression.object_ids or ()),
            "groups": result.groups,
            "answers": answers,
        }
        if ORACLE in answers:
            entry["other_expression"] = result.other_id
            entry["oracle_is_exact"] = result.oracle_is_exact
            entry["oracle_by_source"] = described(result.oracle_by_source)
        else:  # submitted masks were not chosen among tracks
            del answers[SELECTION]["tracks"]
        entries.append(entry)
    return entries


def _about_oracle(results: Results) -> dict[str, Any]:
    sources = dict.fromkeys(source for result in results for source in result.oracle_by_source)
    curve = mean_curve([result.curve for result in results])
    best = best_threshold(curve.steps, curve.jf)
    num_exact = sum(result.oracle_is_exact for result in results)
    oracle, selection = _answer_of(ORACLE), _answer_of(SELECTION)

    def at(threshold: float) -> dict[str, Any]:
        return {"threshold": threshold, **curve.at(threshold).by_name()}

    def lost(lower: AnswerOf, upper: AnswerOf = lambda result: PERFECT) -> dict[str, Any]:
        rows = []
        for result in results:
            high, low = (answer_of(result).score.by_name() for answer_of in (upper, lower))
            rows.append({name: high[name] - low[name] for name in MEASURES})
        return mean_with_interval([result.expression.video_id for result in results], rows)

    return {
        "by_source": {source: _mean(results, _oracle_of(source)) for source in sources},
        "losses": {
            "generation": lost(oracle),
            "selection": lost(selection, upper=oracle),
            **{f"generation from {source} alone": lost(_oracle_of(source)) for source in sources},
        },
        "curve": [at(threshold) for threshold in CURVE_THRESHOLDS],
        "best_threshold": {**at(best.threshold), "from": best.lowest, "to": best.end},
        "oracle": {
            "method": ORACLE_METHOD,
            "num_exact": num_exact,
            "num_greedy": len(results) - num_exact,
        },
        "left_out": {OTHER_TEXT: sum(OTHER_TEXT not in result.answers for result in results)},
        "num_expressions_without_tracks": sum(
            not result.answers[measure.ALL_TRACKS].selected for result in results
        ),
    }


def _answer_of(name: str) -> AnswerOf:
    return lambda result: result.answers[name]


def _oracle_of(source: str) -> AnswerOf:
    """Return the oracle among the tracks of a source; if it has none, nothing is selected."""
    return lambda result: result.oracle_by_source.get(source, result.answers[measure.NONE])


def _means(results: Results, names: Sequence[str]) -> dict[str, Any]:
    """Return the means of some answers, or only of the selection if there are no others."""
    with_other = [result for result in results if OTHER_TEXT in result.answers]
    means = {}
    for name in names if ORACLE in results[0].answers else (SELECTION,):
        among = with_other if name in (SELECTION_WHERE_OTHER, OTHER_TEXT) else results
        own = SELECTION if name == SELECTION_WHERE_OTHER else name
        means[name] = _mean(among, _answer_of(own))
    return means


def _mean(results: Results, answer_of: AnswerOf) -> dict[str, Any]:
    video_ids = [result.expression.video_id for result in results]
    return mean_with_interval(video_ids, [_values(answer_of(result)) for result in results])


def _values(answer: Answer) -> dict[str, float]:
    return {**answer.score.by_name(), **answer.own}
