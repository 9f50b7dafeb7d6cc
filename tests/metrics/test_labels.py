"""Mean IoU and labels, counted by hand."""

import numpy as np
import pytest

from sola.errors import UserError
from sola.metrics import mean_iou, track_labels
from sola.types import Labels


def labels() -> Labels:
    """Track 0 covers half of object "7" where that is seen, track 1 is always empty."""
    return Labels(
        object_ids=("7", "9"),
        intersections=np.array(
            [[[5, 0, 0, 0], [0, 0, 0, 0]], [[0, 0, 0, 0], [0, 0, 0, 0]]], dtype=np.int32
        ),
        track_areas=np.array([[5, 0, 0, 0], [0, 0, 0, 0]], dtype=np.int32),
        object_areas=np.array([[10, 0, 0, 0], [0, 0, 0, 0]], dtype=np.int32),
    )


def test_frames_empty_in_both_count_as_1_or_are_skipped() -> None:
    np.testing.assert_allclose(mean_iou(labels(), "count"), [[3.5 / 4, 3 / 4], [3 / 4, 1]])
    np.testing.assert_allclose(mean_iou(labels(), "skip"), [[0.5, 0], [0, 0]])


def test_track_is_positive_if_its_best_iou_is_above_the_threshold() -> None:
    assert track_labels(labels(), ["7"], 0.7, "count").tolist() == [True, True]
    assert track_labels(labels(), ["7"], 0.75, "count").tolist() == [True, False]
    assert track_labels(labels(), ["7", "9"], 0.9, "count").tolist() == [False, True]
    assert track_labels(labels(), ["7"], 0.4, "skip").tolist() == [True, False]
    assert track_labels(labels(), [], 0.0, "count").tolist() == [False, False]


def test_no_tracks_no_objects_and_no_frames_work() -> None:
    empty = Labels((), *(np.zeros(s, np.int32) for s in [(0, 0, 4), (0, 4), (0, 4)]))
    assert mean_iou(empty, "count").shape == (0, 0)
    assert track_labels(empty, [], 0.7, "count").shape == (0,)
    no_frames = Labels(("1",), *(np.zeros(s, np.int32) for s in [(2, 1, 0), (2, 0), (1, 0)]))
    for empty_frames in ("count", "skip"):
        assert mean_iou(no_frames, empty_frames).tolist() == [[0], [0]]
    no_tracks = Labels(("1",), *(np.zeros(s, np.int32) for s in [(0, 1, 3), (0, 3), (1, 3)]))
    assert track_labels(no_tracks, ["1"], 0.7, "count").shape == (0,)


def test_counts_of_large_frames_do_not_overflow() -> None:
    pixels = np.full((1, 1), 2_000_000_000, dtype=np.int32)
    huge = Labels(("1",), pixels[None], pixels, pixels)

    assert mean_iou(huge, "count").tolist() == [[1]]


def test_object_without_labels_is_refused() -> None:
    with pytest.raises(UserError, match=r"'8'.*'7', '9'"):
        track_labels(labels(), ["7", "8"], 0.7, "count")
