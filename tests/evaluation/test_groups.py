"""Labels of expressions, at the bounds that are stated."""

import numpy as np
import pytest

from sola.evaluation.measure import LABELS, MEANINGS, groups_of
from sola.masks import encode
from sola.masks.runs import find_runs
from sola.types import Expression

SIZE = (10, 20)


def groups(num_pixels: list[int], objects: int = 1, text: str = "it") -> dict[str, str]:
    masks = np.zeros((len(num_pixels), 200), dtype=bool)
    for mask, count in zip(masks, num_pixels, strict=True):
        mask[:count] = True
    runs = find_runs(encode(masks.reshape(-1, *SIZE)), SIZE)
    return groups_of(Expression("v", "0", text, tuple(map(str, range(objects)))), runs)


@pytest.mark.parametrize(
    ("num_pixels", "size"),
    [
        ([1], "small"),
        ([2], "medium"),  # 1 % of 200
        ([19], "medium"),
        ([20], "large"),
        ([0, 30, 0, 12], "large"),  # where visible: 21 on average
        ([0, 0], "nowhere"),
    ],
)
def test_size_is_the_mean_share_of_visible_frames(num_pixels: list[int], size: str) -> None:
    assert groups(num_pixels)["size"] == size


@pytest.mark.parametrize(
    ("num_pixels", "visible"), [([1, 1], "always"), ([0, 1], "at times"), ([0, 0], "nowhere")]
)
def test_visible_on_all_some_or_no_frames(num_pixels: list[int], visible: str) -> None:
    assert groups(num_pixels)["visible"] == visible


@pytest.mark.parametrize(("number", "label"), [(0, "0"), (1, "1"), (2, "2"), (3, "3+"), (7, "3+")])
def test_objects_are_counted_up_to_three(number: int, label: str) -> None:
    assert groups([1], objects=number)["objects"] == label


@pytest.mark.parametrize(
    ("number", "label"), [(1, "1-32"), (32, "1-32"), (33, "33-64"), (129, "129+")]
)
def test_frames_are_those_of_the_video(number: int, label: str) -> None:
    assert groups([1] * number)["frames"] == label


@pytest.mark.parametrize(("number", "label"), [(5, "1-5"), (6, "6-10"), (11, "11+")])
def test_words_are_those_of_the_text(number: int, label: str) -> None:
    assert groups([1], text=" a  b"[:2] * number)["words"] == label


def test_every_group_has_a_description() -> None:
    assert LABELS.keys() == MEANINGS.keys() == groups([1]).keys()
