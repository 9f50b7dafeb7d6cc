"""The run-length codec against arrays."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pycocotools import mask as coco

from sola.masks import (
    areas,
    boxes,
    check_codes,
    common_size,
    decode,
    empty_masklet,
    encode,
    intersections,
    merge,
)
from sola.types import RunLength

SIZE = (4, 5)
FRAMES = 3


def masklets(count: int) -> st.SearchStrategy[np.ndarray]:
    """(count, FRAMES, *SIZE) bool, with empty, full and ragged masks."""
    return arrays(bool, (count, FRAMES, *SIZE), elements=st.booleans(), fill=st.booleans())


def drawn(*rows: str) -> np.ndarray:
    return np.array([[pixel == "#" for pixel in row] for row in rows])


def test_codes_are_coco_run_lengths_with_ascii_counts() -> None:
    mask = drawn(".##", ".#.", "...")

    (code,) = encode(mask[None])

    reference = coco.encode(np.asfortranarray(mask.astype(np.uint8)))
    assert code == {"size": [3, 3], "counts": reference["counts"].decode()}
    assert isinstance(code["counts"], str)


@given(masklets(1))
def test_decode_inverts_encode(masks: np.ndarray) -> None:
    np.testing.assert_array_equal(decode(encode(masks[0])), masks[0])


def test_decoded_masks_are_bool_and_contiguous() -> None:
    masks = decode(encode(np.ones((2, *SIZE), dtype=np.uint8)))

    assert masks.dtype == np.bool_
    assert masks.flags.c_contiguous


def test_numbers_other_than_zero_are_inside() -> None:
    masks = np.array([[[0.0, 0.25], [-3.0, 256.0]]])

    np.testing.assert_array_equal(decode(encode(masks)), masks != 0)


@given(masklets(3), masklets(2))
def test_areas_and_intersections_match_the_arrays(ours: np.ndarray, others: np.ndarray) -> None:
    codes, other_codes = [encode(m) for m in ours], [encode(m) for m in others]

    shared = intersections(codes, other_codes)
    both = ours[:, None] & others[None]

    assert shared.dtype == np.int32
    np.testing.assert_array_equal(shared, both.sum((-2, -1)))
    np.testing.assert_array_equal(areas(codes), ours.sum((-2, -1)))


@given(masklets(3))
def test_merge_matches_the_union_of_arrays(ours: np.ndarray) -> None:
    np.testing.assert_array_equal(decode(merge([encode(m) for m in ours])), ours.any(axis=0))


@given(masklets(1))
def test_boxes_are_tight(masks: np.ndarray) -> None:
    for box, mask in zip(boxes(encode(masks[0])).tolist(), masks[0], strict=True):
        rows, columns = np.nonzero(mask)
        expected = [columns.min(), rows.min(), columns.max(), rows.max()] if mask.any() else [0] * 4
        assert box == expected


def test_large_intersections_are_exact() -> None:
    rng = np.random.default_rng(0)
    ours, others = (rng.random((2, 1, 700, 900)) < 0.5 for _ in range(2))

    shared = intersections([encode(m) for m in ours], [encode(m) for m in others])

    np.testing.assert_array_equal(shared, (ours[:, None] & others[None]).sum((-2, -1)))


def test_hundreds_of_masks_are_counted() -> None:
    rng = np.random.default_rng(1)
    ours, others = rng.random((300, 2, *SIZE)) < 0.5, rng.random((3, 2, *SIZE)) < 0.5
    codes, other_codes = [encode(m) for m in ours], [encode(m) for m in others]

    np.testing.assert_array_equal(areas(codes), ours.sum((-2, -1)))
    both = (ours[:, None] & others[None]).sum((-2, -1))
    np.testing.assert_array_equal(intersections(codes, other_codes), both)
    np.testing.assert_array_equal(intersections(other_codes, codes), both.transpose(1, 0, 2))
    np.testing.assert_array_equal(decode(merge(codes)), ours.any(axis=0))
    long = ours.reshape(600, *SIZE)
    np.testing.assert_array_equal(decode(encode(long)), long)
    np.testing.assert_array_equal(areas([encode(long)]), [long.sum((-2, -1))])


def test_empty_masklet_has_frames_and_size_and_no_pixels() -> None:
    masks = decode(empty_masklet(FRAMES, SIZE))

    assert masks.shape == (FRAMES, *SIZE)
    assert not masks.any()
    assert empty_masklet(0, SIZE) == []


def test_empty_input_gives_empty_output() -> None:
    some = [empty_masklet(FRAMES, SIZE)]

    assert encode(np.zeros((0, *SIZE), dtype=bool)) == []
    assert decode([]).shape == (0, 0, 0)
    assert merge([]) == [] == merge([[], []])
    assert areas([]).shape == (0, 0)
    assert areas([[], []]).shape == (2, 0)
    assert intersections([], some).shape == (0, 1, FRAMES)
    assert intersections(some, []).shape == (1, 0, FRAMES)
    assert intersections([], [], num_frames=FRAMES).shape == (0, 0, FRAMES)
    assert intersections([[]], [[]]).shape == (1, 1, 0)
    assert common_size([[], []]) is None


def test_masks_of_different_sizes_or_lengths_are_refused() -> None:
    one, two = empty_masklet(2, (4, 5)), empty_masklet(2, (5, 4))
    longer = empty_masklet(3, (4, 5))
    too_long = RunLength(size=[2, 2], counts=encode(np.ones((1, 9, 9)))[0]["counts"])

    with pytest.raises(ValueError, match=r"sizes .*\(4, 5\), \(5, 4\)"):
        merge([one, two])
    with pytest.raises(ValueError, match=r"sizes .*\(4, 5\), \(5, 4\)"):
        intersections([one], [two])
    with pytest.raises(ValueError, match=r"sizes"):
        decode([one[0], two[0]])
    with pytest.raises(ValueError, match=r"\[2, 3\]"):
        merge([one, longer])
    with pytest.raises(ValueError, match=r"7 frames, got 2"):
        intersections([one], [one], num_frames=7)
    with pytest.raises(ValueError, match="covers 81 pixels"):
        decode([too_long])
    with pytest.raises(ValueError, match=r"\(T, H, W\)"):
        encode(np.zeros(SIZE))
    with pytest.raises(ValueError, match="0 x 5"):
        encode(np.zeros((2, 0, 5)))


def test_truncated_code_is_refused() -> None:
    whole = encode(np.random.default_rng(0).random((1, 300, 400)) < 0.5)[0]
    cut = RunLength(size=whole["size"], counts=whole["counts"][: len(whole["counts"]) // 2])
    used_before = [np.full((300, 400), 255, dtype=np.uint8) for _ in range(20)]
    del used_before

    with pytest.raises(ValueError, match="truncated"):
        check_codes([cut], (300, 400))
    with pytest.raises(ValueError, match="truncated"):
        decode([cut])
