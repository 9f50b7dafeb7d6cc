"""J and F against vos-benchmark, against the definition written out, and against drawings."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from vos_benchmark.evaluator import Evaluator

from sola.masks import encode
from sola.metrics import boundary_f_measure, region_similarity
from sola.metrics.boundary import tolerance_radius_px

EXACT = 1e-9
SIZES = [(1, 1), (1, 9), (7, 1), (5, 7), (24, 31), (90, 60), (140, 200)]
"""Radii of 1 and 2 px."""


def drawn(*rows: str) -> torch.Tensor:
    """(1, H, W): one frame."""
    return torch.tensor([[[pixel == "#" for pixel in row] for row in rows]])


def random_masks(rng: np.random.Generator, size: tuple[int, int]) -> NDArray[np.bool_]:
    """(12, H, W): boxes over boxes, some frames empty, some full, some speckled."""
    masks = np.zeros((12, *size), dtype=bool)
    for mask in masks[2:]:
        for _ in range(rng.integers(1, 4)):
            top, left = rng.integers(0, size[0]), rng.integers(0, size[1])
            height, width = rng.integers(1, size[0] + 1), rng.integers(1, size[1] + 1)
            mask[top : top + height, left : left + width] ^= True
    masks[1] = True
    masks[2] = rng.random(size) < 0.1
    rng.shuffle(masks)
    return masks


def upstream(
    preds: NDArray[np.bool_], target: NDArray[np.bool_]
) -> tuple[list[float], list[float]]:
    """vos-benchmark, told that object 1 exists from the first frame on."""
    evaluator = Evaluator()
    evaluator.objects_in_gt = {1}
    for mask, true_mask in zip(preds, target, strict=True):
        evaluator.feed_frame(mask.astype(np.uint8), true_mask.astype(np.uint8))
    return evaluator.object_iou[1], evaluator.boundary_f[1]


def boundary_of(mask: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """The definition, pixel by pixel."""
    height, width = mask.shape
    found = []
    for y in range(height):
        for x in range(width):
            if y == height - 1 and x == width - 1:
                continue
            if y == height - 1:
                neighbours = [(y, x + 1)]
            elif x == width - 1:
                neighbours = [(y + 1, x)]
            else:
                neighbours = [(y, x + 1), (y + 1, x), (y + 1, x + 1)]
            if any(mask[y, x] != mask[place] for place in neighbours):
                found.append((y, x))
    return found


def f_written_out(mask: NDArray[np.bool_], true_mask: NDArray[np.bool_]) -> float:
    radius = math.ceil(0.008 * math.sqrt(mask.shape[0] ** 2 + mask.shape[1] ** 2))
    own, true = boundary_of(mask), boundary_of(true_mask)
    if not own or not true:
        return float(not own and not true)

    def share(places: list[tuple[int, int]], others: list[tuple[int, int]]) -> float:
        near = sum(
            any((y - v) ** 2 + (x - u) ** 2 <= radius**2 for v, u in others) for y, x in places
        )
        return near / len(places)

    precision, recall = share(own, true), share(true, own)
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def j_written_out(mask: NDArray[np.bool_], true_mask: NDArray[np.bool_]) -> float:
    either = (mask | true_mask).sum()
    return (mask & true_mask).sum() / either if either else 1.0


@pytest.mark.parametrize("size", [*SIZES, (260, 300), (720, 1280)])
def test_j_and_f_equal_vos_benchmark(size: tuple[int, int]) -> None:
    rng = np.random.default_rng(size[0] * 1000 + size[1])
    preds, target = random_masks(rng, size), random_masks(rng, size)
    target[:4] = np.roll(preds[:4], shift=(1, 2), axis=(1, 2))  # near misses
    expected_j, expected_f = upstream(preds, target)

    for masks in [(preds, target), (encode(preds), encode(target))]:
        j, boundary_f = region_similarity(*masks), boundary_f_measure(*masks)

        np.testing.assert_allclose(j, expected_j, rtol=0, atol=EXACT)
        np.testing.assert_allclose(boundary_f, expected_f, rtol=0, atol=EXACT)


@pytest.mark.parametrize("size", SIZES[:5])
def test_f_equals_the_plain_definition(size: tuple[int, int]) -> None:
    rng = np.random.default_rng(size[0] * 1000 + size[1])
    preds, target = random_masks(rng, size), random_masks(rng, size)

    boundary_f = boundary_f_measure(torch.from_numpy(preds), torch.from_numpy(target))

    expected = [f_written_out(p, t) for p, t in zip(preds, target, strict=True)]
    np.testing.assert_allclose(boundary_f, expected, rtol=0, atol=EXACT)


@st.composite
def pairs(draw: st.DrawFn) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Two masklets of up to 18 frames: speckles, full and empty frames, and near misses."""
    shape = draw(st.tuples(st.integers(1, 18), st.integers(1, 9), st.integers(1, 9)))
    speckled = arrays(bool, shape, elements=st.booleans(), fill=st.booleans())
    preds = draw(speckled)
    shift = draw(st.tuples(st.integers(-3, 3), st.integers(-3, 3)))
    return preds, draw(st.one_of(speckled, st.just(np.roll(preds, shift, axis=(1, 2)))))


@given(pairs())
def test_every_form_of_masks_has_the_scores_of_the_plain_definition(
    masks: tuple[NDArray[np.bool_], NDArray[np.bool_]],
) -> None:
    preds, target = masks
    expected = {
        region_similarity: [j_written_out(*frame) for frame in zip(*masks, strict=True)],
        boundary_f_measure: [f_written_out(*frame) for frame in zip(*masks, strict=True)],
    }
    forms = {
        "bool tensors": [torch.from_numpy(preds), torch.from_numpy(target)],
        "bytes": [torch.from_numpy(preds.astype(np.uint8) * 255), target.astype(np.uint8)],
        "numbers": [preds.astype(np.int64) * -256, target.astype(">u2") * 256],
        "columns first": [
            np.asfortranarray(preds),
            torch.from_numpy(target.T.copy()).permute(2, 1, 0),
        ],
        "parts of more": [
            np.repeat(preds, 2, axis=2)[..., ::2],
            np.pad(target, 1)[1:-1, 1:-1, 1:-1],
        ],
        "backwards": [preds[:, ::-1, ::-1].copy()[:, ::-1, ::-1], target],
        "run lengths": [encode(preds), encode(target)],
    }
    for measure, values in expected.items():
        for name, (own, true) in forms.items():
            scores = measure(own, true)
            assert scores.dtype == torch.float64
            np.testing.assert_allclose(scores, values, rtol=0, atol=EXACT, err_msg=name)


def test_run_lengths_without_frames_have_no_scores() -> None:
    for measure in (region_similarity, boundary_f_measure):
        assert measure([], []).shape == (0,)


def test_radius_depends_on_the_frame_not_on_the_crop() -> None:
    assert tolerance_radius_px((10, 10)) == 1
    assert tolerance_radius_px((300, 400)) == 4
    assert tolerance_radius_px((1080, 1920)) == 18


def test_frame_empty_in_both_scores_1_and_in_one_scores_0() -> None:
    nothing, something = drawn("....", "...."), drawn("....", ".#..")

    for measure in (region_similarity, boundary_f_measure):
        assert measure(nothing, nothing).item() == 1
        assert measure(nothing, something).item() == 0
        assert measure(something, nothing).item() == 0
        assert measure(something, something).item() == 1


def test_mask_that_fills_the_frame_has_no_boundary() -> None:
    full, nothing, half = drawn("##", "##"), drawn("..", ".."), drawn("#.", "#.")

    assert boundary_f_measure(full, nothing).item() == 1
    assert region_similarity(full, nothing).item() == 0
    assert boundary_f_measure(full, half).item() == 0


def test_j_matches_a_count_by_hand() -> None:
    preds = drawn(".##.", ".##.")
    target = drawn("..##", "..#.")

    assert region_similarity(preds, target).item() == 2 / 5


def test_f_matches_a_count_by_hand() -> None:
    # Radius 1. Boundaries: a pixel at (1, 1) marks (0, 0), (0, 1), (1, 0), (1, 1); one at (1, 4)
    # marks (0, 3), (0, 4), (1, 3), (1, 4). No two of them are within 1 px: (., 1) and (., 3) are 2.
    left, right = drawn("......", ".#....", "......"), drawn("......", "....#.", "......")
    assert boundary_f_measure(left, right).item() == 0

    # One pixel to the right, at (1, 2): (0, 1), (0, 2), (1, 1), (1, 2), all within 1 px.
    assert boundary_f_measure(left, drawn("......", "..#...", "......")).item() == 1

    # At (1, 3): (., 2) is within 1 px of (., 1), (., 3) is not, and the reverse: P = R = 1 / 2.
    assert boundary_f_measure(left, drawn("......", "...#..", "......")).item() == 0.5


def test_leading_dimensions_are_kept() -> None:
    rng = np.random.default_rng(3)
    preds, target = (
        torch.from_numpy(random_masks(rng, (9, 8)).reshape(2, 3, 2, 9, 8)) for _ in range(2)
    )

    for measure in (region_similarity, boundary_f_measure):
        scores = measure(preds, target)
        assert scores.shape == (2, 3, 2)
        assert scores.dtype == torch.float64
        assert scores[1, 2, 0] == measure(preds[1, 2, :1], target[1, 2, :1])[0]
        assert measure(preds[:0], target[:0]).shape == (0, 3, 2)
        assert measure(preds[:, :, :0], target[:, :, :0]).shape == (2, 3, 0)


def test_arrays_that_are_not_masks_are_refused() -> None:
    mask = drawn("..")

    for measure in (region_similarity, boundary_f_measure):
        with pytest.raises(ValueError, match="two equal shapes"):
            measure(mask, drawn("..."))
        with pytest.raises(ValueError, match="two equal shapes"):
            measure(mask[0], mask[0])
        with pytest.raises(ValueError, match="expected bool or integers, got float32"):
            measure(mask.float(), mask)
        with pytest.raises(ValueError, match="only one is in run-length form"):
            measure(encode(mask.numpy()), mask)
        with pytest.raises(ValueError, match="preds has 2 frames, target 1"):
            measure(encode(mask.numpy()) * 2, encode(mask.numpy()))
