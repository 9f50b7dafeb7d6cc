"""Answers about a clip of which only some frames are tracked, or smaller ones."""

import json
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from clip_files import make_frames, write_images, write_video

from sola.masks import decode, encode
from sola.prediction.clip.answers import AnsweredFrames
from sola.prediction.clip.footage import Clip
from sola.prediction.clip.run import run_clip
from sola.types import Prompt

MakeConfig = Callable[..., Any]
SIZE = (48, 64)
TIMES_S = [idx / 10 for idx in range(7)]


@pytest.fixture
def video(tmp_path: Path) -> Path:
    return write_video(tmp_path / "seven.mp4", make_frames(7, SIZE))


def _answer(config: Any) -> tuple[Path, dict[str, Any], np.ndarray]:
    """The output folder, the record, and the masks of the first sentence."""
    path = run_clip(config)
    record = json.loads(path.read_text(), parse_constant=pytest.fail)
    folder = path.parent / record["expressions"][0]["masks"]
    names = sorted(each.stem for each in folder.iterdir())
    assert names == record["clip"]["frames"]
    masks = [cv2.imread(str(folder / f"{name}.png"), cv2.IMREAD_UNCHANGED) > 0 for name in names]
    return path.parent, record, np.stack(masks)


def _times_and_size(path: Path) -> tuple[list[float], float, tuple[int, int]]:
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert stream.duration is not None
        assert stream.time_base is not None
        frames = list(container.decode(stream))
        times_s = [float(frame.pts * Fraction(frame.time_base)) for frame in frames]
        length_s = float(stream.duration * stream.time_base)
        return times_s, length_s, (frames[0].height, frames[0].width)


def _check_overlay(path: Path, times_s: list[float], length_s: float) -> None:
    found_s, found_length_s, (height, width) = _times_and_size(path)
    np.testing.assert_allclose(found_s, times_s, atol=1e-3)
    assert found_length_s == pytest.approx(length_s, abs=1e-3)
    assert width == SIZE[1]
    assert height > SIZE[0]  # with the sentence above


def test_frames_between_get_the_masks_of_the_nearest_frame(
    clip_config: MakeConfig, video: Path
) -> None:
    every_other = {"clip.stride": 2, "clip.max_side_px": 32, "threshold": 0}
    output_dir, record, masks = _answer(clip_config(video, "the white block", **every_other))

    assert record["format_version"] == 2
    clip, tracked = record["clip"], record["clip"]["tracked"]
    np.testing.assert_allclose(clip.pop("times_s"), TIMES_S, atol=1e-6)
    np.testing.assert_allclose(tracked.pop("times_s"), TIMES_S[::2], atol=1e-6)
    assert tracked == {"frames": [0, 2, 4, 6], "step": 2, "width": 32, "height": 24}
    assert (clip["width"], clip["height"], clip["num_frames"]) == (64, 48, 7)
    assert (clip["first_frame"], clip["between"]) == (0, "nearest")
    assert masks.shape == (7, *SIZE)
    assert masks.any(), "nothing is tracked: nothing is tested"
    np.testing.assert_array_equal(masks, masks[[0, 0, 2, 2, 4, 4, 6]])
    np.testing.assert_array_equal(masks, masks[:, ::2, ::2].repeat(2, axis=1).repeat(2, axis=2))
    assert len({mask.tobytes() for mask in masks[::2]}) > 1, "nothing moves: nothing is tested"
    for track in record["tracks"]:
        assert decode(track["masks"]).shape == (7, *SIZE)
        prompt = track["prompt"]
        assert prompt["frame"] in (0, 2, 4, 6)
        assert prompt["area"] % 4 == 0
    _check_overlay(output_dir / record["expressions"][0]["overlay"], TIMES_S, 0.7)

    same = {**every_other, "clip.between": "none"}
    output_dir, record, only = _answer(clip_config(video, "the white block", **same))

    np.testing.assert_array_equal(only, masks[::2])
    assert record["clip"]["frames"] == ["00000", "00002", "00004", "00006"]
    np.testing.assert_allclose(record["clip"]["times_s"], TIMES_S[::2], atol=1e-6)
    assert record["clip"]["num_frames"] == 7
    assert {len(track["masks"]) for track in record["tracks"]} == {4}
    assert {track["prompt"]["frame"] for track in record["tracks"]} <= {0, 1, 2, 3}
    _check_overlay(output_dir / record["expressions"][0]["overlay"], TIMES_S[::2], 0.7)


def test_part_of_a_clip_is_answered(clip_config: MakeConfig, tmp_path: Path) -> None:
    folder = write_images(tmp_path / "photos", make_frames(7, SIZE))
    part = {"clip.start_s": 0.2, "clip.end_s": 0.5, "threshold": 0}

    output_dir, record, masks = _answer(clip_config(folder, "the white block", **part))

    clip = record["clip"]
    assert clip["frames"] == ["00002", "00003", "00004"]
    assert clip["files"] == ["2.png", "3.png", "4.png"]
    assert clip["tracked"]["frames"] == [2, 3, 4]
    assert len(masks) == 3
    _check_overlay(output_dir / record["expressions"][0]["overlay"], [0, 0.1, 0.2], 0.3)


@pytest.mark.parametrize(
    ("size", "num_frames"), [((8, 8), 1), ((8, 8), 3), ((48, 64), 1), ((1, 9), 2)]
)
def test_tiny_and_short_clips_are_answered(
    clip_config: MakeConfig, tmp_path: Path, size: tuple[int, int], num_frames: int
) -> None:
    frames = make_frames(num_frames, size)
    path = write_video(tmp_path / "tiny.mkv", frames, codec="ffv1", pix_fmt="bgr0")

    output_dir, record, masks = _answer(clip_config(path, "the white block", threshold=0))

    assert masks.shape == (num_frames, *size)
    times_s, _, _ = _times_and_size(output_dir / record["expressions"][0]["overlay"])
    assert len(times_s) == num_frames


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_500_frames_are_answered(clip_config: MakeConfig, tmp_path: Path) -> None:
    path = write_video(tmp_path / "long.mp4", make_frames(500))
    few = {"prompt_sources.grid.rule.max_tracks": 2, "prompt_sources.grid.frame_stride": 100}

    output_dir, record, masks = _answer(clip_config(path, "the white block", threshold=0, **few))

    assert len(record["clip"]["tracked"]["frames"]) == 250  # at most 300
    assert masks.shape == (500, *SIZE)
    times_s, length_s, _ = _times_and_size(output_dir / record["expressions"][0]["overlay"])
    np.testing.assert_allclose(times_s, np.arange(500) / 10, atol=1e-3)
    assert length_s == pytest.approx(50, abs=1e-2)


def test_prompt_is_described_in_frames_and_pixels_of_the_masks() -> None:
    clip = Clip(
        clip_id="c",
        source="c.mp4",
        width=64,
        height=48,
        first_frame=5,
        num_frames=7,
        fps=10,
        times_s=TIMES_S,
        end_s=0.7,
        files=(),
        step=3,
        tracked_width=32,
        tracked_height=12,
    )
    mask = np.zeros((1, 12, 32), bool)
    mask[0, 2:4, 5:10] = True
    prompt = Prompt(1, encode(mask)[0], 10, "gdino", box=(5, 2, 10, 4))

    described = AnsweredFrames(clip, "nearest").describe_prompt(prompt)

    assert (described["frame"], described["area"]) == (3, 10 * 2 * 4)
    assert described["box"] == [10, 8, 20, 16]
    assert AnsweredFrames(clip, "none").describe_prompt(prompt)["frame"] == 1
