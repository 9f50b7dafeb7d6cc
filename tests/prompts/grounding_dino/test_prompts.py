"""Masks of boxes as prompts, and which of them are kept."""

import numpy as np

from sola.prompts.grounding_dino import (
    Detections,
    expression_prompts,
    keep_likely,
    keep_stable,
)
from sola.types import Prompt

FULL = np.array([[True, True], [True, False]])
EMPTY = np.zeros((2, 2), bool)


def _prompts() -> list[Prompt]:
    found = Detections(
        boxes=np.arange(12, dtype=np.float32).reshape(3, 4),
        token_scores=np.array([[0.5, 0.25], [0.75, 0.5], [0.5, 0.2]], np.float32),
        phrases=("dog", "red dog", "left"),
    )
    return expression_prompts(
        4, found, [FULL, FULL, EMPTY], [(0.5, 0.84), (0.75, 0.9), (0.5, 0.0)], "gdino"
    )


def test_every_box_becomes_a_prompt_that_says_where_it_comes_from() -> None:
    prompts = _prompts()

    assert [(item.frame_idx, item.source, item.area) for item in prompts] == [
        (4, "gdino", 3),
        (4, "gdino", 3),
        (4, "gdino", 0),
    ]
    assert (prompts[1].predicted_iou, prompts[1].stability_score) == (0.75, 0.9)
    assert prompts[1].box == (4, 5, 6, 7)
    assert prompts[1].phrase == "red dog"
    assert prompts[1].token_scores == (0.75, 0.5)


def test_likely_and_stable_prompts_are_kept_as_float32_compares() -> None:
    prompts = _prompts()

    assert keep_likely(prompts, 0.5) == prompts[1:2]
    assert keep_likely(prompts, 0.49) == prompts
    assert keep_stable(prompts, 0.9) == prompts[1:2]  # 0.9 is below 0.9 after a way through float32
    assert keep_stable(prompts, 0.84) == prompts[:2]


def test_no_boxes_give_no_prompts() -> None:
    nothing = Detections(np.zeros((0, 4), np.float32), np.zeros((0, 3), np.float32), ())

    assert expression_prompts(0, nothing, [], [], "gdino") == []
