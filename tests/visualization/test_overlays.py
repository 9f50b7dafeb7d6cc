"""Overlay pictures: what is drawn, and that nothing else of the footage changes."""

import numpy as np
import pytest

from sola.visualization.overlays import (
    GAP_PX,
    GREEN,
    ORANGE,
    MaskRow,
    contact_sheet,
    draw_answer,
    draw_masks,
    evenly_spaced,
)

SIZE = (40, 60)


def test_mask_is_tinted_and_the_rest_does_not_change() -> None:
    frame = np.full((*SIZE, 3), 100, dtype=np.uint8)
    mask = np.zeros(SIZE, dtype=bool)
    mask[10:20, 15:30] = True

    drawn = draw_masks(frame, mask, ORANGE)

    np.testing.assert_array_equal(drawn[~mask], 100)
    tint = np.rint(0.55 * 100 + 0.45 * np.array(ORANGE))
    np.testing.assert_array_equal(drawn[15, 22], tint)
    np.testing.assert_array_equal(drawn[10, 15], ORANGE)  # outline
    assert (frame == 100).all()


def test_mask_of_another_size_is_scaled() -> None:
    frame = np.zeros((*SIZE, 3), dtype=np.uint8)
    mask = np.zeros((SIZE[0] // 2, SIZE[1] // 2), dtype=bool)
    mask[5:10] = True

    drawn = draw_masks(frame, mask, ORANGE)

    assert sorted(set(np.flatnonzero(drawn.any(axis=(1, 2))))) == list(range(10, 20))


@pytest.mark.parametrize("object_colour", [(20, 60, 230), (255, 255, 255), (250, 220, 40)])
def test_missed_object_is_visible_whatever_its_colour(object_colour: tuple[int, ...]) -> None:
    frame = np.full((*SIZE, 3), object_colour, dtype=np.uint8)
    mask = np.zeros(SIZE, dtype=bool)
    mask[10:30, 15:40] = True

    drawn = draw_answer(frame, mask, np.zeros_like(mask))

    change = np.abs(drawn.astype(int) - frame).max(axis=-1)
    assert change[mask].max() > 150
    assert not change[~mask].any()


def test_sheet_shows_frames_at_their_own_resolution() -> None:
    rng = np.random.default_rng(0)
    frames = [rng.integers(0, 256, (*SIZE, 3), dtype=np.uint8) for _ in range(3)]
    empty = np.zeros((3, *SIZE), dtype=bool)
    rows = [MaskRow("selected", empty, ORANGE), MaskRow("ground truth", empty, GREEN)]

    sheet = contact_sheet(frames, rows, ["the ‘red’ one " * 9, "v1"])

    assert sheet.dtype == np.uint8
    assert sheet.shape[1] == 3 * SIZE[1] + 2 * GAP_PX
    tops = [y for y in range(len(sheet) - SIZE[0] + 1) if _is_at(sheet, frames[1], y)]
    assert len(tops) == 2
    assert (sheet[: tops[0]] < 128).any()  # the sentence
    for top, row in zip(tops, rows, strict=True):
        label = sheet[top - 20 : top]
        assert (label == row.colour).all(axis=-1).any()  # the key
        assert (label.max(axis=-1) < 128).any()  # words as dark as all others


def _is_at(sheet: np.ndarray, frame: np.ndarray, top: int) -> bool:
    left = SIZE[1] + GAP_PX
    part = sheet[top : top + SIZE[0], left : left + SIZE[1]]
    return bool((part == frame).all())


@pytest.mark.parametrize(
    ("num_things", "num_wanted", "places"),
    [(5, 3, [0, 2, 4]), (3, 8, [0, 1, 2]), (1, 6, [0]), (9, 1, [4]), (4, 0, []), (0, 4, [])],
)
def test_evenly_spaced_includes_first_and_last(
    num_things: int, num_wanted: int, places: list[int]
) -> None:
    assert evenly_spaced(num_things, num_wanted) == places
