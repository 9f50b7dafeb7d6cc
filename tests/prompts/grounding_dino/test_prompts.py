"""Which masks of boxes become prompts, on masks drawn by hand."""

import numpy as np

from sola.prompts.grounding_dino import Detections, expression_prompts

FULL = np.array([[True, True], [True, False]])
EMPTY = np.zeros((2, 2), bool)


def test_stable_masks_become_prompts_that_say_where_they_come_from() -> None:
    found = Detections(
        boxes=np.arange(12, dtype=np.float32).reshape(3, 4),
        token_scores=np.array([[0.5, 0.25], [0.75, 0.5], [0.5, 0.5]], np.float32),
        phrases=("dog", "red dog", "left"),
    )
    scores = [(0.5, 0.84), (0.75, 0.85), (0.5, 1.0)]

    (prompt,) = expression_prompts(4, found, [FULL, FULL, EMPTY], scores)

    assert (prompt.frame_idx, prompt.source, prompt.area) == (4, "gdino", 3)
    assert (prompt.predicted_iou, prompt.stability_score) == (0.75, 0.85)
    assert prompt.box == (4, 5, 6, 7)
    assert prompt.phrase == "red dog"
    assert prompt.token_scores == (0.75, 0.5)


def test_no_boxes_give_no_prompts() -> None:
    nothing = Detections(np.zeros((0, 4), np.float32), np.zeros((0, 3), np.float32), ())

    assert expression_prompts(0, nothing, [], []) == []
