"""Evidence and scores of a detector, on masks drawn by hand."""

import numpy as np
import pytest

from sola.masks import encode
from sola.metrics import detection_evidence, detection_scores
from sola.types import DetectionEvidence, Masklet, Prompt


def draw(*rows: str) -> np.ndarray:
    return np.array([[character == "#" for character in row] for row in rows])


LEFT = draw("####....", "####....")
MOST_OF_LEFT = draw("####....", "###.....")  # IoU 7/8 with LEFT
HALF_OF_LEFT = draw("####....", "........")  # IoU 1/2 with LEFT
RIGHT = draw("......##", "......##")
NOTHING = draw("........", "........")


def prompt(mask: np.ndarray, frame_idx: int, *scores: float) -> Prompt:
    code = encode(mask[None])[0]
    return Prompt(frame_idx, code, int(mask.sum()), "gdino", token_scores=scores)


def masklet(*masks: np.ndarray) -> Masklet:
    return encode(np.stack(masks))


def test_each_frame_counts_its_best_supporting_prompt() -> None:
    first = prompt(LEFT, 0, 0.1, 0.9)
    sibling = prompt(RIGHT, 0, 0.4)  # tracked in the same group
    prompts = [
        first,
        sibling,
        prompt(MOST_OF_LEFT, 0, 0.95),  # a duplicate of the first track
        prompt(LEFT, 2, 0.5),
        prompt(MOST_OF_LEFT, 2, 0.3, 0.6),
        prompt(HALF_OF_LEFT, 2, 0.99),  # too little overlap
        prompt(LEFT, 4, 0.8),  # neither track has a mask there
        prompt(RIGHT, 6, 0.7),  # beyond the cap
    ]
    tracks = [
        masklet(LEFT, LEFT, LEFT, LEFT, NOTHING, LEFT, LEFT),
        masklet(RIGHT, RIGHT, RIGHT, RIGHT, NOTHING, NOTHING, RIGHT),
    ]

    evidence = detection_evidence([first, sibling], tracks, prompts, [0, 2, 4, 6], 0.7)

    assert evidence.frame_idxs == (0, 2, 4, 6)
    expected = [[0.95, 0.6, 0, 0], [0.4, 0, 0, 0.7]]
    np.testing.assert_allclose(evidence.scores, expected, rtol=1e-6)
    # both tracks have masks on three of the four searched frames
    np.testing.assert_allclose(detection_scores(evidence, tracks), [1.55 / 3, 1.1 / 3], rtol=1e-6)


def test_own_prompt_always_counts() -> None:
    own, other = prompt(LEFT, 1, 0.6), prompt(MOST_OF_LEFT, 1, 0.9)
    evidence = detection_evidence([own], [masklet(LEFT, RIGHT)], [own, other], [0, 1], 0.7)

    np.testing.assert_allclose(evidence.scores, [[0, 0.6]], rtol=1e-6)


@pytest.mark.parametrize(("duplicate_iou", "expected"), [(0.5, 0.4), (0.49, 0.9)])
def test_support_needs_more_overlap_than_the_threshold(
    duplicate_iou: float, expected: float
) -> None:
    own, half = prompt(LEFT, 0, 0.4), prompt(HALF_OF_LEFT, 0, 0.9)
    evidence = detection_evidence([own], [masklet(LEFT)], [own, half], [0], duplicate_iou)

    np.testing.assert_allclose(evidence.scores, [[expected]], rtol=1e-6)


def test_frames_of_prompts_count_as_searched() -> None:
    own = prompt(LEFT, 1, 0.4)
    assert detection_evidence([own], [masklet(LEFT, LEFT)], [own], [0, 0], 0.7).frame_idxs == (0, 1)


def test_no_tracks_have_no_scores() -> None:
    evidence = detection_evidence([], [], [], range(0, 9, 4), 0.7)

    assert evidence.scores.shape == (0, 3)
    assert detection_scores(evidence, []).shape == (0,)


@pytest.mark.parametrize(
    ("num_searched", "num_visible", "divisor"),
    [(1, 1, 1), (2, 1, 2), (5, 1, 3), (5, 3, 3), (5, 4, 4), (5, 5, 5)],
)
def test_few_visible_frames_count_as_three(
    num_searched: int, num_visible: int, divisor: int
) -> None:
    masks = [LEFT] * num_visible + [NOTHING] * (num_searched - num_visible)
    scores = np.full((1, num_searched), 0.5, np.float32) * (np.arange(num_searched) < num_visible)
    evidence = DetectionEvidence(tuple(range(num_searched)), scores.astype(np.float32))

    found = detection_scores(evidence, [masklet(*masks)])
    np.testing.assert_allclose(found, [0.5 * num_visible / divisor])
