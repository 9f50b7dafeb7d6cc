"""The stream that a player shows, its transparency and its high dynamic range."""

import os
from pathlib import Path

import numpy as np
import pytest
from av.stream import Disposition
from clip_files import make_frames, write_hdr, write_images, write_streams, write_video

from sola.config.sections import ClipOptions
from sola.datasets.frames import read_frame
from sola.errors import UserError
from sola.prediction.clip.footage import Clip, open_clip

NONE, DEFAULT, COVER = Disposition(0), Disposition.default, Disposition.attached_pic
THUMBNAIL, SMALL, MEDIUM, LARGE = (12, 16), (24, 32), (48, 64), (96, 128)


def _open(path: Path, tmp_path: Path) -> tuple[Clip, np.ndarray]:
    clip = open_clip(path, tmp_path / "clips", ClipOptions())
    return clip, np.stack([read_frame(p) for p in clip.video(tmp_path / "clips").frame_paths])


@pytest.mark.parametrize(
    ("name", "streams", "shown"),
    [
        ("first.mp4", [(4, THUMBNAIL, NONE), (4, MEDIUM, NONE)], (4, MEDIUM)),
        ("larger.mkv", [(4, MEDIUM, NONE), (4, SMALL, NONE)], (4, MEDIUM)),
        ("default.mkv", [(4, MEDIUM, NONE), (4, SMALL, DEFAULT)], (4, SMALL)),
        ("two_defaults.mkv", [(4, SMALL, DEFAULT), (4, MEDIUM, DEFAULT)], (4, MEDIUM)),
        ("poster.mp4", [(1, LARGE, NONE), (5, SMALL, NONE)], (5, SMALL)),
        ("thumbnail.mp4", [(4, THUMBNAIL, DEFAULT), (4, MEDIUM, NONE)], (4, MEDIUM)),
        ("cover.mp4", [(1, LARGE, COVER), (4, SMALL, NONE)], (4, SMALL)),
    ],
)
def test_stream_that_players_show_is_read(
    tmp_path: Path,
    name: str,
    streams: list[tuple[int, tuple[int, int], Disposition]],
    shown: tuple[int, tuple[int, int]],
) -> None:
    written = [(make_frames(count, size), disposition) for count, size, disposition in streams]

    clip, _ = _open(write_streams(tmp_path / name, *written), tmp_path)

    assert (clip.num_frames, (clip.height, clip.width)) == shown


def _half_transparent() -> np.ndarray:
    """A red right half; the left half is hidden blue."""
    frames = np.zeros((3, 48, 64, 4), np.uint8)
    frames[:, :, :32] = (20, 30, 200, 0)
    frames[:, :, 32:] = (200, 30, 20, 255)
    return frames


@pytest.mark.parametrize(
    ("name", "codec", "pix_fmt", "options"),
    [
        ("vp9.webm", "libvpx-vp9", "yuva420p", {}),
        ("vp8.webm", "libvpx", "yuva420p", {"auto-alt-ref": "0"}),
        ("png.mov", "png", "rgba", {}),
        ("animation.mov", "qtrle", "argb", {}),
        ("prores.mov", "prores_ks", "yuva444p10le", {}),
    ],
)
def test_transparent_parts_are_white(
    tmp_path: Path, name: str, codec: str, pix_fmt: str, options: dict[str, str]
) -> None:
    path = write_video(
        tmp_path / name, _half_transparent(), codec=codec, pix_fmt=pix_fmt, codec_options=options
    )

    clip, found = _open(path, tmp_path)

    np.testing.assert_allclose(clip.times_s, (0, 0.1, 0.2), atol=1e-6)
    np.testing.assert_allclose(found[:, :, :28].mean(axis=(1, 2)), [[255] * 3] * 3, atol=3)
    np.testing.assert_allclose(found[:, :, 36:].mean(axis=(1, 2)), [[200, 30, 20]] * 3, atol=8)


def test_opaque_vp9_is_decoded_as_before(tmp_path: Path) -> None:
    opaque = _half_transparent()[..., :3]
    path = write_video(tmp_path / "opaque.webm", opaque, codec="libvpx-vp9")

    _, found = _open(path, tmp_path)

    np.testing.assert_allclose(found[:, :, :28].mean(axis=(1, 2)), [[20, 30, 200]] * 3, atol=8)


def test_transparency_that_cannot_be_decoded_is_refused(tmp_path: Path) -> None:
    opaque = np.ascontiguousarray(_half_transparent()[..., :3].repeat(2, 1).repeat(2, 2))
    path = write_video(
        tmp_path / "av1.webm", opaque, codec="libsvtav1", metadata={"alpha_mode": "1"}
    )
    # as root the encoder gives this thread real-time priority, which later tests would inherit
    os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))

    with pytest.raises(UserError, match=r"av1.webm: .*ffmpeg -i .*av1.webm -pix_fmt yuv420p"):
        open_clip(path, tmp_path / "clips", ClipOptions())


def _pq(nits: np.ndarray) -> np.ndarray:
    """SMPTE ST 2084."""
    power = (nits / 10_000) ** 0.1593017578125
    return ((0.8359375 + 18.8515625 * power) / (1 + 18.6875 * power)) ** 78.84375


def _hlg(light: np.ndarray) -> np.ndarray:
    """ARIB STD-B67, for light up to 1/12 of the maximum."""
    return np.sqrt(3 * light)


RED_IN_2020 = np.array([0.6274, 0.0691, 0.0164])
"""The red of BT.709 in linear BT.2020: ITU-R BT.2087, table 2."""


@pytest.mark.parametrize(
    ("transfer", "black", "white", "red"),
    [
        (16, _pq(np.zeros(3)), _pq(np.full(3, 203.0)), _pq(100 * RED_IN_2020)),
        (18, _hlg(np.zeros(3)), np.full(3, 0.75), _hlg(0.1 * RED_IN_2020)),
    ],
    ids=["PQ", "HLG"],
)
def test_high_dynamic_range_is_mapped_to_standard_colours(
    tmp_path: Path, transfer: int, black: np.ndarray, white: np.ndarray, red: np.ndarray
) -> None:
    colours = np.zeros((48, 96, 3))
    for idx, colour in enumerate((black, white, red)):
        colours[:, 32 * idx : 32 * idx + 32] = colour

    clip, found = _open(write_hdr(tmp_path / "hdr.mkv", colours, transfer), tmp_path)

    assert (clip.width, clip.height, clip.num_frames) == (96, 48, 1)
    shown = found[0, 24, [16, 48, 80]].astype(int)
    assert shown[0].max() < 5
    assert shown[1].min() > 150
    assert np.ptp(shown[1]) < 3
    assert shown[2, 0] > 90
    assert shown[2, 1:].max() < 0.3 * shown[2, 0]  # as stored, a third or more: a dull brown


def test_name_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", make_frames(2))
    odd = path.rename(Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.mp4")))
    folder = write_images(tmp_path / "photos", make_frames(2))
    (folder / "1.png").rename(Path(os.fsdecode(os.fsencode(folder) + b"/caf\xe9.png")))

    for given, suffix in ((odd, "mp4"), (folder, "png")):
        with pytest.raises(UserError, match=rf"caf\\udce9.{suffix}': .*UTF-8. Rename"):
            open_clip(given, tmp_path / "clips", ClipOptions())
