"""Means over expressions, by answer, kind and group: the numbers of evaluation.json."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sola.evaluation import measure
from sola.evaluation.curve import CURVE_THRESHOLDS, best_threshold, mean_curve
from sola.evaluation.groups import LABELS, MEANINGS
from sola.evaluation.intervals import MEASURES, METHOD, mean_with_interval
from sola.evaluation.measure import ORACLE, OTHER_TEXT, SELECTION, Answer, ExpressionResult
from sola.evaluation.oracle import METHOD as ORACLE_METHOD
from sola.evaluation.scorer import Score

# the selection on the expressions that have another text, to compare ``OTHER_TEXT`` with
SELECTION_WHERE_OTHER = "selection_where_other_text"
ANSWERS = {
    SELECTION: "selection",
    ORACLE: "oracle (best choice of the same tracks)",
    measure.BEST_TRACK: "best single track",
    measure.ALL_TRACKS: "all tracks",
    measure.LARGEST_TRACK: "largest track",
    measure.NONE: "no track",
    SELECTION_WHERE_OTHER: "selection, where another text exists",
    OTHER_TEXT: "selection under another text",
}
"""Label of every answer, in the order of tables."""
Results = Sequence[ExpressionResult]
Values = dict[str, float]


def summarise(results: Results) -> dict[str, Any]:
    """Return all means of an evaluation, ready for JSON.

    Args:
        results: one per expression; all have answers of the same names, but for ``OTHER_TEXT``.

    Returns:
        "results" by answer, "by_kind" by kind of expression and answer, "by_group" by group, label
        and answer, each as ``mean_with_interval`` has it; "groups", "intervals"; and if there is an
        oracle: "by_source", "losses", "curve" of the selection at ``CURVE_THRESHOLDS``,
        "best_threshold" of all thresholds, "oracle" and "left_out".
    """
    has_oracle = ORACLE in results[0].answers
    labels = {"kind": [result.expression.kind for result in results]}
    labels |= {group: [result.groups[group] for result in results] for group in LABELS}
    parts = {}
    for division, of_results in labels.items():
        found = LABELS.get(division, sorted(set(of_results)))
        parts[division] = {
            label: _means([r for r, own in zip(results, of_results, strict=True) if own == label])
            for label in found
            if label in of_results
        }
    summary = {
        "results": _means(results, all_answers=True),
        "by_kind": parts.pop("kind"),
        "by_group": parts,
        "groups": MEANINGS,
        "intervals": METHOD,
    }
    return summary | (_about_oracle(results) if has_oracle else {})


def list_results(results: Results) -> list[dict[str, Any]]:
    """Return one entry per expression, ready for JSON: what was selected, and all scores."""

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
            entry["other_expression"] = result.other and result.other.expression_id
            entry["oracle_is_exact"] = result.oracle_is_exact
            entry["oracle_by_source"] = described(result.oracle_by_source)
        else:  # submitted masks were not chosen among tracks
            del answers[SELECTION]["tracks"]
        entries.append(entry)
    return entries


def _about_oracle(results: Results) -> dict[str, Any]:
    sources = dict.fromkeys(source for result in results for source in result.oracle_by_source)
    curve = mean_curve([result.curve for result in results])
    best = best_threshold(curve)
    num_exact = sum(result.oracle_is_exact for result in results)

    def at(threshold: float) -> dict[str, Any]:
        return {"threshold": threshold, **_numbers(curve.at(threshold))}

    def lost(upper: AnswerOf | None, lower: AnswerOf) -> dict[str, Any]:
        rows = []
        for result in results:
            high = dict.fromkeys(MEASURES, 1.0) if upper is None else _values(upper(result))
            low = _values(lower(result))
            rows.append({name: high[name] - low[name] for name in MEASURES})
        return mean_with_interval([result.expression.video_id for result in results], rows)

    by_source = {f"generation from {s} alone": lost(None, _oracle_of(s)) for s in sources}
    return {
        "by_source": {source: _mean(results, _oracle_of(source)) for source in sources},
        "losses": {
            "generation": lost(None, _answer_of(ORACLE)),
            "selection": lost(_answer_of(ORACLE), _answer_of(SELECTION)),
            **by_source,
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


AnswerOf = Callable[[ExpressionResult], Answer]


def _answer_of(name: str) -> AnswerOf:
    return lambda result: result.answers[name]


def _oracle_of(source: str) -> AnswerOf:
    """Return the oracle among the tracks of a source; without tracks nothing is selected."""
    return lambda result: result.oracle_by_source.get(source, result.answers[measure.NONE])


def _means(results: Results, *, all_answers: bool = False) -> dict[str, Any]:
    """Return the means of selection and oracle, of the texts of others, or of all answers."""
    has_oracle = ORACLE in results[0].answers
    with_other = [result for result in results if OTHER_TEXT in result.answers]
    means = {}
    for name in ANSWERS if has_oracle else (SELECTION,):
        if name in (SELECTION_WHERE_OTHER, OTHER_TEXT):
            own = SELECTION if name == SELECTION_WHERE_OTHER else OTHER_TEXT
            means[name] = _mean(with_other, _answer_of(own))
        elif all_answers or name in (SELECTION, ORACLE):
            means[name] = _mean(results, _answer_of(name))
    return means


def _mean(results: Results, answer_of: AnswerOf) -> dict[str, Any]:
    video_ids = [result.expression.video_id for result in results]
    return mean_with_interval(video_ids, [_values(answer_of(result)) for result in results])


def _values(answer: Answer) -> Values:
    return {**_numbers(answer.score), **answer.own}


def _numbers(score: Score) -> Values:
    return {"J": score.j, "F": score.boundary_f, "J&F": score.jf}
