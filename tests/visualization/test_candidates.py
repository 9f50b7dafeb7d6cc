"""Videos of candidate tracks: numbers, scores, and sizes that stay readable."""

from pathlib import Path

import av
import numpy as np
import pytest

from sola.masks import encode
from sola.visualization.colours import track_colour
from sola.visualization.overlays import draw_tracks, legend_block
from sola.visualization.videos import write_candidates_clip

SIZE = (90, 120)
GREY = 100


def frame_and_masks(*boxes: tuple[slice, slice]) -> tuple[np.ndarray, dict[int, np.ndarray]]:
    masks = {number: np.zeros(SIZE, dtype=bool) for number in range(len(boxes))}
    for number, box in enumerate(boxes):
        masks[number][box] = True
    return np.full((*SIZE, 3), GREY, np.uint8), masks


def test_selected_tracks_are_tinted_and_numbers_stand_in_their_masks() -> None:
    frame, masks = frame_and_masks(
        (slice(10, 50), slice(5, 45)), (slice(40, 85), slice(60, 110)), (slice(0, 0), slice(0, 0))
    )

    drawn = draw_tracks(frame, masks, tinted=[1])

    assert (frame == GREY).all()
    outside = ~(masks[0] | masks[1])
    np.testing.assert_array_equal(drawn[outside], GREY)
    assert (drawn[45, 10] == GREY).all()  # inside a track that is not selected
    assert (drawn[80, 65] != GREY).any()
    for number in (0, 1):
        assert (drawn[masks[number]] == track_colour(number)).all(axis=-1).any()  # outline
        light = (np.array(track_colour(number)) + 255) // 2
        assert (np.abs(drawn[masks[number]] - light.astype(int)).max(axis=-1) < 8).any()  # number


def test_numbers_of_tracks_of_one_object_do_not_cover_each_other() -> None:
    box = (slice(60, 90), slice(100, 120))
    frame, masks = frame_and_masks(*[box] * 4)

    drawn = draw_tracks(frame, masks, tinted=[])

    for number in range(4):
        light = (np.array(track_colour(number)) + 255) // 2
        assert (np.abs(drawn.astype(int) - light).max(axis=-1) < 40).sum() > 4


def test_legend_breaks_lines_between_entries() -> None:
    entries = [(f"{number}: 0.50", track_colour(number)) for number in range(8)]

    narrow = legend_block("selected", entries, "and 3 more", 150, 12)
    wide = legend_block("selected", entries, "and 3 more", 1500, 12)

    assert narrow.shape[1] == 150
    assert len(narrow) > 3 * len(wide) - 20
    for _, colour in entries:
        assert (narrow == colour).all(axis=-1).any()


@pytest.mark.parametrize(
    ("size", "picture"),
    [((1080, 1920), (540, 960)), ((90, 120), (270, 360)), ((91, 301), (92, 302))],
)
def test_candidates_clip_fits_a_screen_and_keeps_times(
    size: tuple[int, int], picture: tuple[int, int], tmp_path: Path
) -> None:
    _, masks = frame_and_masks(*[(slice(n, n + 20), slice(n, n + 30)) for n in range(64)])
    masklets = {number: encode(np.stack([mask] * 3)) for number, mask in masks.items()}
    scores = {number: number / 64 for number in masks}
    times_s = (0.0, 0.5, 0.75, 1.0)

    write_candidates_clip(
        tmp_path / "tracks.mp4",
        (np.full((*size, 3), GREY, np.uint8) for _ in range(3)),
        masklets,
        times_s,
        size=size,
        fps=4,
        sentence="the dog",
        scores=scores,
        selected=[62, 63],
    )

    with av.open(str(tmp_path / "tracks.mp4")) as container:
        frames = list(container.decode(video=0))
    assert [frame.time for frame in frames] == pytest.approx(times_s[:3])
    pixels = frames[0].to_ndarray(format="rgb24").astype(int)
    height, width = pixels.shape[:2]
    assert width == picture[1]
    legend, shown = pixels[: height - picture[0]], pixels[height - picture[0] :]
    assert len(legend) < 450

    def is_there(part: np.ndarray, number: int) -> bool:
        return bool((np.abs(part - track_colour(number)).max(axis=-1) < 60).any())

    assert is_there(legend, 63)
    assert is_there(legend, 61)
    assert (np.abs(shown - GREY).max(axis=-1) > 60).any()


def test_clip_without_tracks_is_written(tmp_path: Path) -> None:
    frames = [np.full((*SIZE, 3), GREY, np.uint8)]

    write_candidates_clip(
        tmp_path / "tracks.mp4",
        frames,
        {},
        (0.0, 1.0),
        size=SIZE,
        fps=1,
        sentence="the dog",
        scores={},
        selected=[],
    )

    assert (tmp_path / "tracks.mp4").stat().st_size > 0
