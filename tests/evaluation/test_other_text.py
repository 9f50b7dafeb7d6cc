"""Which other sentence an expression is given."""

from sola.evaluation.scores import choose_other_texts
from sola.types import Expression

EXPRESSIONS = [
    Expression("a", "0", "", ("1",)),
    Expression("a", "1", "", ("2", "3")),
    Expression("a", "2", "", ("1", "2")),
    Expression("a", "3", "", ()),
    Expression("a", "4", "", ("3",)),
    Expression("b", "0", "", ("9",)),
    Expression("c", "0", "", None),
]


def test_other_expression_is_of_the_same_video_and_means_other_objects() -> None:
    allowed = {"0": {"1", "4"}, "1": {"0"}, "2": {"4"}, "4": {"0", "2"}}
    seen: dict[str, set[str]] = {}
    for seed in range(20):
        for (video_id, expression_id), other in choose_other_texts(EXPRESSIONS, seed).items():
            assert video_id == other.video_id == "a"
            seen.setdefault(expression_id, set()).add(other.expression_id)

    assert seen == allowed


def test_choice_depends_on_the_seed_and_not_on_other_videos() -> None:
    chosen = choose_other_texts(EXPRESSIONS, 3)

    assert choose_other_texts(EXPRESSIONS, 3) == chosen
    assert choose_other_texts([e for e in EXPRESSIONS if e.video_id == "a"], 3) == chosen
    assert any(choose_other_texts(EXPRESSIONS, seed) != chosen for seed in range(10))
