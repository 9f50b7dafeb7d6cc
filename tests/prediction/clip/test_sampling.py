"""Which frames of a clip are tracked, and what the frames between them get."""

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from clip_files import make_frames, write_images, write_video

from sola.config.sections import ClipOptions
from sola.datasets.frames import read_frame
from sola.errors import UserError
from sola.prediction.clip import decoding
from sola.prediction.clip.answers import AnsweredFrames
from sola.prediction.clip.footage import Clip, open_clip

FREE = {"max_fps": None, "max_frames": None}


def _video(path: Path, num_frames: int, fps: float = 30, suffix: str = "mp4") -> Path:
    times_s = [idx / fps for idx in range(num_frames)]
    codec, clock = ("libvpx-vp9", 1000) if suffix == "webm" else ("libx264", 30_000)
    frames = make_frames(num_frames)
    path = path.with_suffix(f".{suffix}")
    return write_video(path, frames, codec=codec, times_s=times_s, clock=clock, rate=round(fps))


def _uneven(path: Path, times_s: Sequence[float]) -> Path:
    frames = make_frames(len(times_s))
    return write_video(path, frames, codec="libvpx-vp9", times_s=times_s, clock=1000)


def _open(path: Path, tmp_path: Path, **options: object) -> tuple[Clip, list[Path]]:
    """The clip and its frames on disk."""
    clip = open_clip(path, tmp_path / "clips", ClipOptions(**options))  # type: ignore[arg-type]
    paths = list(clip.video(tmp_path / "clips").frame_paths)
    assert sorted(paths[0].parent.iterdir()) == paths
    return clip, paths


def _nearest(clip: Clip) -> list[int]:
    return [clip.nearest_tracked(idx) for idx in range(clip.num_frames)]


@pytest.mark.parametrize(
    ("options", "tracked"),
    [
        ({}, [0, 3, 6, 9]),  # 30 frames per second, at most 10
        (FREE, list(range(12))),
        ({**FREE, "stride": 5}, [0, 5, 10]),
        ({**FREE, "max_fps": 14.5}, [0, 3, 6, 9]),
        ({**FREE, "max_fps": 15}, [0, 2, 4, 6, 8, 10]),
        ({**FREE, "max_frames": 12}, list(range(12))),
        ({**FREE, "max_frames": 11}, [0, 2, 4, 6, 8, 10]),
        ({**FREE, "max_frames": 4}, [0, 3, 6, 9]),
        ({**FREE, "max_frames": 1}, [0]),
        ({"max_frames": 2}, [0, 6]),
        ({"stride": 4}, [0, 4, 8]),
        ({"start_s": 0.1, "end_s": 0.3}, [3, 6]),
        ({**FREE, "start_s": 0.11, "end_s": 0.2}, [4, 5]),
        ({**FREE, "start_s": 0.2, "stride": 2}, [6, 8, 10]),
    ],
)
def test_step_is_the_smallest_within_all_limits(
    tmp_path: Path, options: dict[str, object], tracked: list[int]
) -> None:
    clip, paths = _open(_video(tmp_path / "even", 12), tmp_path, **options)

    assert [int(path.stem) for path in paths] == tracked
    described = AnsweredFrames(clip, "nearest").describe()
    assert described["tracked"]["frames"] == tracked
    times_s = [frame / 30 for frame in tracked]
    np.testing.assert_allclose(described["tracked"]["times_s"], times_s, atol=1e-6)


@pytest.mark.parametrize(
    ("suffix", "fps", "step"),
    [
        *(("mp4", fps, step) for fps, step in ((10, 1), (11, 2), (29.97, 3), (30, 3), (31, 4))),
        *(("webm", fps, step) for fps, step in ((10, 1), (30, 3), (60, 6))),  # milliseconds
    ],
)
def test_rounded_times_do_not_change_the_step(
    tmp_path: Path, suffix: str, fps: float, step: int
) -> None:
    clip, _ = _open(_video(tmp_path / "even", 9, fps, suffix), tmp_path)

    assert clip.step == step


def test_part_of_a_clip_keeps_its_numbers_and_times(tmp_path: Path) -> None:
    path = _video(tmp_path / "even", 12, fps=10)

    clip, _ = _open(path, tmp_path, start_s=0.3, end_s=0.8, stride=2)

    assert (clip.first_frame, clip.num_frames) == (3, 5)
    np.testing.assert_allclose(clip.times_s, [0.3, 0.4, 0.5, 0.6, 0.7], atol=1e-6)
    assert clip.end_s == pytest.approx(0.8)
    assert clip.fps == pytest.approx(10)
    assert AnsweredFrames(clip, "nearest").describe()["frames"][0] == "00003"
    frames = [frame.start_s for frame in clip.read()]
    np.testing.assert_allclose(frames, clip.times_s, atol=1e-6)


def test_uneven_frames_count_by_their_average_rate(tmp_path: Path) -> None:
    path = _uneven(tmp_path / "uneven.webm", (0, 0.1, 0.2, 0.3, 1.0, 1.1))  # 6 in 1.2 s or less

    assert _open(path, tmp_path, max_fps=6)[0].step == 1
    assert _open(path, tmp_path, max_fps=4)[0].step == 2
    clip, paths = _open(path, tmp_path, max_fps=2)

    assert [path.stem for path in paths] == ["00000", "00003"]
    np.testing.assert_allclose([clip.times_s[idx] for idx in clip.tracked], [0, 0.3], atol=1e-6)


@pytest.mark.parametrize(
    ("times_s", "step", "nearest"),
    [
        ([idx / 30 for idx in range(8)], 3, [0, 0, 1, 1, 1, 2, 2, 2]),
        ([0, 0.033, 0.067, 0.1, 0.133], 2, [0, 0, 1, 1, 2]),  # the earlier of two
        ([0, 0.8, 0.9, 1.0, 1.1], 3, [0, 1, 1, 1, 1]),  # by time, not by number
        ([0, 0.1, 0.2, 0.3, 1.0, 1.1], 2, [0, 0, 1, 1, 2, 2]),
    ],
)
def test_frames_between_get_the_nearest_in_time(
    tmp_path: Path, times_s: list[float], step: int, nearest: list[int]
) -> None:
    clip, _ = _open(_uneven(tmp_path / "clip.webm", times_s), tmp_path, **FREE, stride=step)

    assert _nearest(clip) == nearest


def test_tracked_frames_are_those_of_the_clip(tmp_path: Path) -> None:
    frames = make_frames(7)
    folder = write_images(tmp_path / "photos", frames)

    clip, paths = _open(folder, tmp_path, start_s=0.1, stride=2)

    np.testing.assert_array_equal([read_frame(path) for path in paths], frames[1::2])
    assert list(clip.files) == [f"{idx}.png" for idx in range(1, 7)]
    np.testing.assert_array_equal([frame.read() for frame in clip.read()], frames[1:])


def test_tracked_frames_are_scaled_down_to_the_longer_side(tmp_path: Path) -> None:
    frames = np.random.default_rng(0).integers(0, 256, (2, 48, 64, 3), np.uint8)
    folder = write_images(tmp_path / "photos", frames)

    clip, paths = _open(folder, tmp_path, max_side_px=32)

    assert (clip.tracked_width, clip.tracked_height) == (32, 24)
    assert (clip.width, clip.height) == (64, 48)
    means = frames.reshape(2, 24, 2, 32, 2, 3).mean(axis=(2, 4))
    np.testing.assert_allclose([read_frame(path) for path in paths], means, atol=0.51)
    same, _ = _open(folder, tmp_path, max_side_px=64)
    assert (same.tracked_width, same.tracked_height) == (64, 48)


@pytest.mark.parametrize(
    ("size", "max_side_px", "scaled"),
    [((37, 51), 20, (15, 20)), ((51, 37), 20, (20, 15)), ((2, 64), 8, (1, 8)), ((8, 8), 1, (1, 1))],
)
def test_scaled_sides_are_rounded(
    tmp_path: Path, size: tuple[int, int], max_side_px: int, scaled: tuple[int, int]
) -> None:
    folder = write_images(tmp_path / "photos", make_frames(1, size))

    clip, (path,) = _open(folder, tmp_path, max_side_px=max_side_px)

    assert (clip.tracked_height, clip.tracked_width) == scaled == read_frame(path).shape[:2]


def test_only_tracked_frames_are_converted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    converted, convert = [], decoding._to_pixels
    monkeypatch.setattr(decoding, "_to_pixels", lambda f: (converted.append(f.pts), convert(f))[1])

    clip, _ = _open(_video(tmp_path / "even", 500, fps=10), tmp_path)

    assert clip.num_frames == 500
    assert clip.step == 2  # at most 300
    assert len(converted) == 250


def test_rest_of_a_cut_off_clip_is_not_needed(tmp_path: Path) -> None:
    path = write_video(tmp_path / "cut.mp4", make_frames(40), movflags="faststart")
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * 0.8)])
    with pytest.raises(UserError, match="cut off"):
        _open(path, tmp_path)

    clip, _ = _open(path, tmp_path, end_s=1)

    assert clip.num_frames == 10


def test_each_choice_of_frames_is_cached(tmp_path: Path) -> None:
    path = _video(tmp_path / "even", 12)
    choices: list[dict[str, object]] = [
        {},
        {"start_s": 0.1},
        {"end_s": 0.3},
        {"stride": 4},
        {"max_fps": 15},
        {"max_frames": 2},
        {"max_side_px": 32},
    ]

    ids = [_open(path, tmp_path, **choice)[0].clip_id for choice in choices]

    assert len(set(ids)) == len(choices)
    assert _open(path, tmp_path, between="none")[0].clip_id == ids[0]
    assert _open(path, tmp_path, start_s=0)[0].clip_id == ids[0]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"max_fps": None}, None),
        ({"stride": 2, "max_fps": None}, ["tracking 6 of 12 frames", "clip.stride=2"]),
        ({}, ["tracking 4 of 12 frames", "clip.max_fps=10", "clip.between=nearest"]),
        ({"max_frames": 3}, ["tracking 3 of 12 frames", "1 in 4", "clip.max_frames=3"]),
        ({"between": "none"}, ["clip.between=none"]),
        (
            {"max_fps": None, "max_side_px": 32},
            ["tracking 12 of 12", "32 x 24 instead of 64 x 48", "clip.max_side_px=32"],
        ),
    ],
)
def test_one_line_says_what_is_tracked(
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    options: dict[str, object],
    words: list[str] | None,
) -> None:
    caplog.set_level(logging.INFO)
    path = _video(tmp_path / "even", 12)

    for _ in range(2):  # the second time from the cache
        caplog.clear()
        _open(path, tmp_path, **options)
        lines = [line for line in caplog.messages if "tracking" in line]

        assert len(lines) == (words is not None)
        for word in words or []:
            assert word in lines[0]
        assert words is None or lines[0].startswith(f"{path}: ")


@pytest.mark.parametrize("options", [{"start_s": 5}, {"start_s": 0.35, "end_s": 0.39}])
def test_part_without_frames_is_refused(tmp_path: Path, options: dict[str, float]) -> None:
    with pytest.raises(UserError, match=r"^clip.start_s: .*even.mp4"):
        _open(_video(tmp_path / "even", 4, fps=10), tmp_path, **options)


@pytest.mark.slow
def test_4k_is_scaled_before_it_is_tracked(tmp_path: Path) -> None:
    path = write_video(tmp_path / "4k.mp4", make_frames(3, (2160, 3840)))

    clip, paths = _open(path, tmp_path, max_side_px=1280)

    assert (clip.width, clip.height) == (3840, 2160)
    assert {read_frame(path).shape for path in paths} == {(720, 1280, 3)}
