"""Masklets in fewer pixels, against leaving out rows and columns of decoded masks."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from sola.masks import decode, encode, resize, shrink

SIDES = st.integers(1, 9)


@given(st.data())
def test_shrinking_leaves_out_rows_and_columns(data):
    shape = data.draw(st.tuples(st.integers(1, 3), SIDES, SIDES))
    masks = data.draw(arrays(bool, shape))
    size = tuple(data.draw(st.integers(1, side)) for side in shape[1:])
    rows, columns = (np.arange(new) * old // new for new, old in zip(size, shape[1:], strict=True))

    small = shrink(encode(masks), size)

    assert np.array_equal(decode(small), masks[:, rows][:, :, columns])
    assert small == resize(encode(masks), size)


def test_no_masks_stay_none():
    assert shrink([], (2, 2)) == []


def test_masks_do_not_grow():
    with pytest.raises(ValueError, match=r"^size: .*\(2, 3\), got \(2, 4\)"):
        shrink(encode(np.ones((1, 2, 3), bool)), (2, 4))
