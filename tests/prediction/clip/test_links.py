"""Links and unreadable names are refused before a folder is made."""

import os
from pathlib import Path

import pytest
from commands import run_command

from sola.config.messages import fault_of_video

ODD_NAME = os.fsdecode(b"caf\xe9.mp4")


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("https://youtu.be/abc", "yt-dlp -f mp4 -o clip.mp4 https://youtu.be/abc"),
        # Hydra cannot read the next one, as it is not quoted
        (
            "https://www.youtube.com/watch?v=abc&t=3",
            "yt-dlp -f mp4 -o clip.mp4 'https://www.youtube.com/watch?v=abc&t=3'",
        ),
        ("youtube.com/watch?v=abc", "yt-dlp"),
        ("nowhere.mp4", "not found"),
        (ODD_NAME, "not UTF-8"),
    ],
)
def test_wrong_video_is_one_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str, words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.ckpt").touch()

    found = run_command("predict.py", "ckpt_path=x.ckpt", f"video={value}", "expressions=[a]")

    assert found.status == 1
    assert found.errors.count("\n") == 1
    assert words in found.errors
    assert [item.name for item in tmp_path.iterdir()] == ["x.ckpt"]


@pytest.mark.parametrize(
    ("video", "is_link"),
    [
        ("HTTP://a.b/c.mp4", True),
        ("www.youtube.com/watch?v=a", True),
        ("m.youtube.com/watch?v=a", True),
        ("vimeo.com/1", True),
        ("clips/https.mp4", False),
        ("www/clip.mp4", False),
        ("/data/youtube.com/clip.mp4", False),
        ("C:/clip.mp4", False),
    ],
)
def test_links_are_told_from_paths(video: str, is_link: bool) -> None:
    assert (fault_of_video(video) is not None) == is_link
