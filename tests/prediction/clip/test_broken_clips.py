"""One table: what is wrong with a clip, and what the message says about it."""

import struct
import wave
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from clip_files import make_frames, write_images, write_video
from PIL import Image

from sola.config.sections import ClipOptions
from sola.datasets import frames
from sola.errors import UserError
from sola.prediction.clip.footage import open_clip


def _cut(path: Path, share: float) -> Path:
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    return path


def _replace(path: Path, old: bytes, new: bytes) -> Path:
    content = path.read_bytes()
    assert old in content
    path.write_bytes(content.replace(old, new))
    return path


def _text(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def _sound(path: Path) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(bytes(16000))
    return path


def _sizes(folder: Path) -> Path:
    write_images(folder, make_frames(2))
    Image.new("RGB", (10, 20)).save(folder / "2.png")
    return folder


def _twice(folder: Path) -> Path:
    write_images(folder, make_frames(2))
    Image.new("RGB", (64, 48)).save(folder / "0.jpg")
    return folder


def _with_damaged_image(folder: Path, content: bytes | None = None) -> Path:
    write_images(folder, make_frames(3))
    _cut(folder / "1.png", 0.5) if content is None else (folder / "1.png").write_bytes(content)
    return folder


def _changing_size(path: Path) -> Path:
    """Two halves of a raw H.264 stream, put together."""
    one, other = path.with_name("one.h264"), path.with_name("other.h264")
    write_video(one, make_frames(3))
    write_video(other, make_frames(3, (64, 96)))
    path.write_bytes(one.read_bytes() + other.read_bytes())
    return path


def _pages(path: Path) -> Path:
    first, *others = (Image.fromarray(pixels) for pixels in make_frames(3))
    first.save(path, save_all=True, append_images=others)
    return path


def _floats(path: Path) -> Path:
    Image.fromarray(np.zeros((8, 8), np.float32)).save(path)
    return path


def _folder(path: Path) -> Path:
    path.mkdir()
    return path


def _webm(path: Path) -> Path:
    return write_video(path, make_frames(40), codec="libvpx-vp9")


def _gif(path: Path) -> Path:
    return write_video(path, make_frames(10), codec="gif", pix_fmt="rgb8", clock=100)


def _mp4(path: Path, **options: str) -> Path:
    return write_video(path, make_frames(40), **options)


BROKEN: dict[str, tuple[Callable[[Path], Path], tuple[str, ...]]] = {
    "nowhere.mp4": (lambda path: path, ("no such file or folder", "Correct video=")),
    "empty.mp4": (lambda path: _text(path, ""), ("no video",)),
    "text.mp4": (lambda path: _text(path, "hello" * 99), ("no video",)),
    "empty_folder": (_folder, ("no images in this folder",)),
    "sound.wav": (_sound, ("no video stream", "streams: audio")),
    "cut.mp4": (lambda path: _cut(_mp4(path), 0.6), ("cut off",)),
    "cut_fast.mp4": (lambda path: _cut(_mp4(path, movflags="faststart"), 0.6), ("cut off",)),
    "cut.webm": (lambda path: _cut(_webm(path), 0.6), ("cut off", "announces 4.00 s")),
    "cut.gif": (lambda path: _cut(_gif(path), 0.6), ("cut off",)),
    "longer_than_it_is.webm": (
        lambda path: _replace(_webm(path), struct.pack(">d", 4000), struct.pack(">d", 9e6)),
        ("announces 9000.00 s and holds 4.0",),
    ),
    "changing.h264": (_changing_size, ("96 x 64 px, the first one has 64 x 48",)),
    "sizes": (_sizes, ("2.png, the frame has 10 x 20 px, the first one has 64 x 48",)),
    "twice": (_twice, ("2 images are called 0",)),
    "damaged": (_with_damaged_image, ("1.png: unreadable image", "Get it again")),
    "no_image": (lambda path: _with_damaged_image(path, b"x"), ("1.png: unreadable image",)),
    "pages.tiff": (_pages, ("got 3 of mode",)),
    "animated.webp": (_pages, ("got 3 of mode",)),
    "floats.tiff": (_floats, ("got 1 of mode F", "Save it as 8-bit PNG")),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_clip_is_one_message(tmp_path: Path, name: str) -> None:
    break_, words = BROKEN[name]
    path = break_(tmp_path / name)

    with pytest.raises(UserError) as found:
        open_clip(path, tmp_path / "clips", ClipOptions())

    assert str(found.value).startswith(str(tmp_path / name))
    assert "\n" not in str(found.value)
    for word in words:
        assert word in str(found.value)
    left = list((tmp_path / "clips").iterdir()) if (tmp_path / "clips").exists() else []
    assert left == []


@pytest.mark.parametrize("kind", ["video", "image"])
def test_frames_that_do_not_fit_into_memory_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(frames, "MAX_FRAME_PIXELS", 64 * 48 - 1)
    write = write_video if kind == "video" else write_images
    path = write(tmp_path / ("clip.mp4" if kind == "video" else "clip"), make_frames(2))

    with pytest.raises(UserError, match="frame of 64 x 48 px; at most"):
        open_clip(path, tmp_path / "clips", ClipOptions())


def test_full_disk_names_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_images(tmp_path / "photos", make_frames(2))

    def full(self: Path, content: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)

    with pytest.raises(OSError) as error:
        open_clip(folder, tmp_path / "clips", ClipOptions())
    assert str(tmp_path / "clips") in error.value.filename
    assert list((tmp_path / "clips").iterdir()) == []
