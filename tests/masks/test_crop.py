"""Masks cut to their boxes against whole masks."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from sola.masks import EMPTY_CROP, MaskCrop, crop, decode_crops, encode, shared_pixels, union
from sola.masks.crop import CHUNK_FRAMES

SIZE = (5, 6)
MASKS = arrays(bool, (3, *SIZE), elements=st.booleans(), fill=st.just(False))


def whole(part: MaskCrop) -> np.ndarray:
    mask = np.zeros(SIZE, dtype=bool)
    mask[part.top : part.bottom, part.left : part.right] = part.inside
    return mask


@given(MASKS)
def test_a_crop_holds_its_mask_and_no_empty_border(masks: np.ndarray) -> None:
    for mask in masks:
        for part in (crop(mask), decode_crops(encode(mask[None]))[0]):
            np.testing.assert_array_equal(whole(part), mask)
            assert part.is_empty == (not mask.any())
            if not part.is_empty:
                assert part.inside[[0, -1]].any(axis=1).all()
                assert part.inside[:, [0, -1]].any(axis=0).all()


@given(MASKS)
def test_union_and_shared_pixels_are_those_of_the_whole_masks(masks: np.ndarray) -> None:
    parts = [crop(mask) for mask in masks]

    np.testing.assert_array_equal(whole(union(parts)), masks.any(axis=0))
    assert shared_pixels(parts[0], parts[1]) == (masks[0] & masks[1]).sum()


def test_long_masklets_are_cropped_frame_by_frame() -> None:
    masks = np.random.default_rng(0).random((CHUNK_FRAMES + 3, *SIZE)) < 0.2

    parts = decode_crops(encode(masks))

    np.testing.assert_array_equal([whole(part) for part in parts], masks)
    assert decode_crops([]) == []


def test_the_union_of_nothing_is_empty() -> None:
    assert union([]).is_empty
    assert union([EMPTY_CROP, EMPTY_CROP]).is_empty
    assert shared_pixels(EMPTY_CROP, EMPTY_CROP) == 0
