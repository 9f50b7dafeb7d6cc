"""Runs and bits of frames against arrays."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from sola.masks import encode
from sola.masks.frame_bits import FrameBits, count_by_frame, pack_masks, pack_runs
from sola.masks.runs import (
    Runs,
    empty_runs,
    find_runs,
    jaccard,
    shared_pixels,
    unite,
)

SIZE = (4, 5)
FRAMES = 18
"""More than fit into one array of bits."""


def masklets(count: int) -> st.SearchStrategy[np.ndarray]:
    """(count, FRAMES, *SIZE) bool, with empty, full and ragged masks."""
    return arrays(bool, (count, FRAMES, *SIZE), elements=st.booleans(), fill=st.booleans())


def runs_of(masks: np.ndarray) -> Runs:
    return find_runs(encode(masks), SIZE)


def whole(runs: Runs) -> np.ndarray:
    pixels = np.zeros(runs.num_frames * SIZE[0] * SIZE[1], dtype=bool)
    for start, end in zip(runs.starts, runs.ends, strict=True):
        pixels[start:end] = True
    return pixels.reshape(runs.num_frames, *SIZE[::-1]).transpose(0, 2, 1)


def unpacked(parts: list[FrameBits]) -> np.ndarray:
    masks = np.zeros((sum(part.num_frames for part in parts), *SIZE), dtype=bool)
    for i, part in enumerate(parts):
        width, height = part.inside.shape
        for t in range(part.num_frames):
            box = masks[16 * i + t, part.top : part.top + height, part.left : part.left + width]
            box[:] = (part.inside.T >> t) & 1
    return masks


@given(masklets(1))
def test_runs_equal_the_masks(masks: np.ndarray) -> None:
    runs = runs_of(masks[0])

    np.testing.assert_array_equal(whole(runs), masks[0])
    assert (runs.starts < runs.ends).all()
    assert (runs.ends[:-1] <= runs.starts[1:]).all()


@given(masklets(3))
def test_union_equals_that_of_the_masks(masks: np.ndarray) -> None:
    for count in (1, 2, 3):
        united = unite([runs_of(m) for m in masks[:count]])
        np.testing.assert_array_equal(whole(united), masks[:count].any(axis=0))


@given(masklets(2))
def test_overlaps_equal_those_of_the_masks(masks: np.ndarray) -> None:
    both, either = (masks.all(axis=0).sum((1, 2)), masks.any(axis=0).sum((1, 2)))
    a, b = (runs_of(m) for m in masks)

    np.testing.assert_array_equal(shared_pixels(a, b), both)
    expected = [s / u if u else 1 for s, u in zip(both, either, strict=True)]
    np.testing.assert_array_equal(jaccard(a, b), expected)


@given(masklets(1), st.integers(0, 3), st.integers(0, 3))
def test_bits_equal_the_masks(masks: np.ndarray, row: int, column: int) -> None:
    masks[0, :, :row], masks[0, :, :, :column] = False, False  # boxes of many shapes
    for parts in (pack_runs(runs_of(masks[0])), pack_masks(masks[0])):
        assert [part.num_frames for part in parts] == [16, 2]
        np.testing.assert_array_equal(unpacked(parts), masks[0])
        counts = [count_by_frame(part.inside, part.num_frames) for part in parts]
        np.testing.assert_array_equal(np.concatenate(counts), masks[0].sum((1, 2)))


@given(masklets(1))
def test_box_is_a_pixel_wider_inside_the_frame(masks: np.ndarray) -> None:
    masks[0, :, -1], masks[0, :, :, 0] = False, False
    for parts in (pack_runs(runs_of(masks[0])), pack_masks(masks[0])):
        for part in parts:
            assert not part.inside[:, -1:].any()
            assert not part.inside[:1].any()


def test_empty_masks_have_no_runs() -> None:
    nothing = empty_runs(FRAMES, SIZE)

    assert find_runs([], SIZE).num_frames == 0
    assert pack_runs(empty_runs(0, SIZE)) == [] == pack_masks(np.zeros((0, *SIZE), dtype=bool))
    np.testing.assert_array_equal(jaccard(nothing, nothing), np.ones(FRAMES))
