"""Every kind of input comes out as the frames that a viewer shows, at their times."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from clip_files import make_frames, write_images, write_video
from PIL import Image

from sola.config.sections import ClipOptions
from sola.datasets.frames import read_frame
from sola.prediction.clip import footage
from sola.prediction.clip.decoding import ClipFrame
from sola.prediction.clip.footage import Clip, open_clip

UNEVEN_S = (0.0, 0.04, 0.1, 0.5, 0.52, 1.3)
ROOMY = 30
"""Levels that a lossy code may miss by, on average over the worst frame."""

Write = Callable[[Path, np.ndarray], Path]


def _open(path: Path, tmp_path: Path) -> tuple[Clip, np.ndarray]:
    """The clip and its frames as everything else reads them."""
    clip = open_clip(path, tmp_path / "clips", ClipOptions())
    return clip, np.stack([read_frame(p) for p in clip.video(tmp_path / "clips").frame_paths])


VIDEOS: dict[str, Write] = {
    "h264.mp4": write_video,
    "h264.mov": write_video,
    "h264.mkv": write_video,
    "deep.mp4": lambda path, frames: write_video(path, frames, pix_fmt="yuv420p10le"),
    "fragmented.mp4": lambda path, frames: write_video(
        path, frames, movflags="frag_keyframe+empty_moov"
    ),
    "vp9.webm": lambda path, frames: write_video(path, frames, codec="libvpx-vp9"),
    "animated.gif": lambda path, frames: write_video(
        path, frames, codec="gif", pix_fmt="rgb8", clock=100
    ),
}


@pytest.mark.parametrize("name", VIDEOS)
def test_video_keeps_its_frames_size_and_times(tmp_path: Path, name: str) -> None:
    frames = make_frames(6)

    clip, found = _open(VIDEOS[name](tmp_path / name, frames), tmp_path)

    assert found.shape == frames.shape == (clip.num_frames, clip.height, clip.width, 3)
    assert np.abs(found.astype(int) - frames).mean(axis=(1, 2, 3)).max() < ROOMY
    np.testing.assert_allclose(clip.times_s, np.arange(6) / 10, atol=1e-6)
    assert clip.fps == pytest.approx(10)
    assert clip.end_s == pytest.approx(0.6)


@pytest.mark.parametrize(
    ("name", "codec", "pix_fmt"),
    [
        ("odd.mp4", "libx264", "yuv444p"),
        ("odd.webm", "libvpx-vp9", "yuv420p"),
        ("odd.gif", "gif", "rgb8"),
    ],
)
def test_odd_sizes_stay_odd(tmp_path: Path, name: str, codec: str, pix_fmt: str) -> None:
    frames = make_frames(3, (37, 51))
    path = write_video(tmp_path / name, frames, codec=codec, pix_fmt=pix_fmt, clock=100)

    clip, found = _open(path, tmp_path)

    assert (clip.width, clip.height) == (51, 37)
    assert np.abs(found.astype(int) - frames).mean() < ROOMY


@pytest.mark.parametrize(
    ("name", "codec"), [("a.mp4", "libx264"), ("a.webm", "libvpx-vp9"), ("a.gif", "gif")]
)
def test_uneven_times_are_kept(tmp_path: Path, name: str, codec: str) -> None:
    path = write_video(
        tmp_path / name,
        make_frames(6),
        codec=codec,
        pix_fmt="rgb8" if codec == "gif" else "yuv420p",
        times_s=UNEVEN_S,
        clock=100,
    )

    clip, _ = _open(path, tmp_path)

    np.testing.assert_allclose(clip.times_s, UNEVEN_S, atol=1e-6)


def test_times_count_from_the_first_frame(tmp_path: Path) -> None:
    path = write_video(tmp_path / "late.webm", make_frames(2), codec="vp9", times_s=(5, 5.5))

    clip, _ = _open(path, tmp_path)

    np.testing.assert_allclose(clip.times_s, (0, 0.5), atol=1e-6)


@pytest.mark.parametrize("suffix", ["mp4", "mov"])
@pytest.mark.parametrize(
    ("rotation", "turn"),
    [
        ((-90, False, False), lambda frames: np.rot90(frames, -1, (1, 2))),
        ((90, False, False), lambda frames: np.rot90(frames, 1, (1, 2))),
        ((180, False, False), lambda frames: np.rot90(frames, 2, (1, 2))),
        ((0, True, False), lambda frames: frames[:, :, ::-1]),
        ((90, True, False), lambda frames: np.rot90(frames, 1, (1, 2))[:, :, ::-1]),
    ],
)
def test_phones_video_is_turned_as_it_is_shown(
    tmp_path: Path,
    suffix: str,
    rotation: tuple[int, bool, bool],
    turn: Callable[[np.ndarray], np.ndarray],
) -> None:
    frames = make_frames(2)
    path = write_video(tmp_path / f"phone.{suffix}", frames, rotation=rotation)

    clip, found = _open(path, tmp_path)

    expected = turn(frames)
    assert found.shape == expected.shape
    assert np.abs(found.astype(int) - expected).mean() < ROOMY
    assert (clip.height, clip.width) == expected.shape[1:3]


def test_phones_portrait_header_is_a_turn_with_the_clock(tmp_path: Path) -> None:
    frames = make_frames(1)
    path = write_video(tmp_path / "phone.mov", frames)
    content = bytearray(path.read_bytes())
    matrix = content.index(b"tkhd") + 4 + 40  # ISO/IEC 14496-12, 8.3.2
    portrait = np.array([0, 1, 0, -1, 0, 0, 48, 0, 1 << 14]) * 65536
    content[matrix : matrix + 36] = portrait.astype(">i4").tobytes()
    path.write_bytes(content)

    _, found = _open(path, tmp_path)

    expected = np.rot90(frames, -1, (1, 2))
    assert np.abs(found.astype(int) - expected).mean() < ROOMY


@pytest.mark.parametrize("suffix", ["mp4", "webm", "gif"])
def test_one_frame_is_a_clip(tmp_path: Path, suffix: str) -> None:
    codec = {"mp4": "libx264", "webm": "libvpx-vp9", "gif": "gif"}[suffix]
    pix_fmt = "rgb8" if suffix == "gif" else "yuv420p"
    path = write_video(tmp_path / f"one.{suffix}", make_frames(1), codec=codec, pix_fmt=pix_fmt)

    clip, _ = _open(path, tmp_path)

    assert (clip.num_frames, clip.times_s) == (1, [0.0])
    assert clip.end_s > 0


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".bmp", ".tiff", ".JPEG"])
def test_images_come_in_natural_order(tmp_path: Path, suffix: str) -> None:
    frames = make_frames(11)
    folder = write_images(tmp_path / "photos", frames, suffix)
    (folder / "notes.txt").write_text("not an image")
    (folder / f"._0{suffix}").write_text("nor this")

    clip, found = _open(folder, tmp_path)

    assert clip.files == [f"{idx}{suffix}" for idx in range(11)]
    assert np.abs(found.astype(int) - frames).mean(axis=(1, 2, 3)).max() < ROOMY
    if suffix in (".png", ".bmp", ".tiff"):
        np.testing.assert_array_equal(found, frames)


def test_single_image_is_a_clip(tmp_path: Path) -> None:
    frames = make_frames(1)
    Image.fromarray(frames[0]).save(tmp_path / "photo.png")

    clip, found = _open(tmp_path / "photo.png", tmp_path)

    assert clip.files == ["photo.png"]
    np.testing.assert_array_equal(found, frames)


GREY = np.arange(48 * 64, dtype=np.uint16).reshape(48, 64) * 21


def _transparent() -> Image.Image:
    pixels = np.zeros((48, 64, 4), np.uint8)
    pixels[:, 32:] = (10, 20, 30, 255)
    return Image.fromarray(pixels)


def _turned() -> Image.Image:
    image = Image.fromarray(make_frames(1)[0])
    image.getexif()[0x0112] = 6  # its right side is up
    return image


def _levels(value: np.ndarray) -> np.ndarray:
    return np.repeat(value[..., None], 3, axis=2)


OVER_WHITE = np.where(np.arange(64)[None, :, None] < 32, 255, (10, 20, 30)) + np.zeros((48, 1, 1))
IMAGES: dict[str, tuple[Callable[[], Image.Image], np.ndarray, float]] = {
    "grey.png": (lambda: Image.fromarray((GREY >> 8).astype(np.uint8)), _levels(GREY >> 8), 0),
    "deep_grey.png": (lambda: Image.fromarray(GREY), _levels(GREY / 257), 0.3),
    "deep_grey.tiff": (lambda: Image.fromarray(GREY), _levels(GREY / 257), 0.3),
    "one_bit.png": (
        lambda: Image.fromarray(GREY > 30000),
        _levels(255 * (GREY > 30000)),
        0,
    ),
    "palette.png": (lambda: Image.fromarray(make_frames(1)[0]).quantize(8), make_frames(1)[0], 3),
    "transparent.png": (_transparent, OVER_WHITE, 0),
    "transparent.webp": (_transparent, OVER_WHITE, 2),
    "cmyk.jpg": (lambda: Image.fromarray(make_frames(1)[0]).convert("CMYK"), make_frames(1)[0], 10),
    "turned.jpg": (_turned, np.rot90(make_frames(1)[0], -1), 5),
}


@pytest.mark.parametrize("name", IMAGES)
def test_image_of_any_kind_looks_as_in_a_viewer(tmp_path: Path, name: str) -> None:
    make, expected, tolerance = IMAGES[name]
    image = make()
    options = {} if name.endswith((".png", ".tiff")) else {"exif": image.getexif(), "quality": 95}
    image.save(tmp_path / name, **options)

    _, found = _open(tmp_path / name, tmp_path)

    assert found[0].shape == expected.shape
    assert np.abs(found[0] - expected.astype(float)).mean() <= tolerance


def test_same_content_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_video(tmp_path / "My clip (1).mp4", make_frames(3))
    first = open_clip(path, tmp_path / "clips", ClipOptions())
    (tmp_path / "elsewhere").mkdir()
    moved = path.rename(tmp_path / "elsewhere" / path.name)
    monkeypatch.setattr(footage, "read_footage", lambda *_: pytest.fail("read again"))

    again = open_clip(moved, tmp_path / "clips", ClipOptions())

    assert first.clip_id.startswith("My_clip_1-")
    assert again.clip_id == first.clip_id
    assert (first.source, again.source) == (str(path), str(moved))
    assert again.times_s == first.times_s


def test_other_content_of_the_same_name_is_another_clip(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    first = open_clip(write_video(path, make_frames(2)), tmp_path / "clips", ClipOptions())
    second = open_clip(write_video(path, make_frames(3)), tmp_path / "clips", ClipOptions())

    assert first.clip_id != second.clip_id
    assert first.frames_sha256 != second.frames_sha256
    assert {folder.name for folder in (tmp_path / "clips").iterdir()} == {
        first.clip_id,
        second.clip_id,
    }


def test_frames_are_written_one_by_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[int] = []
    passes: list[int] = []

    def frames(files: list[Path]) -> Iterator[ClipFrame]:
        passes.append(len(passes))
        for idx in range(50):
            if len(passes) > 1:
                assert len(written) == idx, "a frame was read before the last one was written"
            yield ClipFrame(lambda: np.zeros((4, 4, 3), np.uint8), idx / 10, (idx + 1) / 10)

    write_bytes = Path.write_bytes

    def note(self: Path, content: bytes) -> int:
        written.append(len(written))
        return write_bytes(self, content)

    path = tmp_path / "long.mp4"
    path.write_bytes(b"x")
    monkeypatch.setattr(footage, "read_footage", frames)
    monkeypatch.setattr(Path, "write_bytes", note)

    assert open_clip(path, tmp_path / "clips", ClipOptions()).num_frames == 50
