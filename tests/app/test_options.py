"""What the command line and the users of the page may give."""

from pathlib import Path

import pytest

from sola.app.options import (
    AppOptions,
    check_clip,
    list_clips,
    read_sentences,
    read_threshold,
    read_words,
)
from sola.config.messages import message_of
from sola.errors import UserError


def test_words_are_options_and_overrides(tmp_path: Path) -> None:
    words = ["app.port=80", "tracker=small", f"app.folder={tmp_path}", "ckpt_path=best.ckpt"]

    options, overrides = read_words(words)

    assert options == AppOptions(port=80, folder=str(tmp_path))
    assert options.host == "127.0.0.1"
    assert overrides == ["tracker=small", "ckpt_path=best.ckpt"]
    assert read_words(["app.folder=null"])[0] == AppOptions()
    searched = [f"hydra.searchpath=['file://{tmp_path}']"]
    assert read_words(["--config-dir", str(tmp_path)])[1] == searched
    assert read_words([f"--config-dir={tmp_path}"])[1] == searched


@pytest.mark.parametrize(
    ("word", "named"),
    [
        ("app.prot=80", "app.prot"),
        ("app.port=eighty", "app.port"),
        ("app.port=70000", "app.port"),
        ("app.max_mb=0", "app.max_mb"),
        ("app.folder=/no/such/folder", "app.folder"),
        ("video=clip.mp4", "video"),
        ("+expressions=[a]", "expressions"),
        ("--cfg=job", "--cfg"),
    ],
)
def test_bad_word_is_named(word: str, named: str) -> None:
    with pytest.raises(Exception) as caught:
        read_words([word])

    assert named in (message_of(caught.value) or "")


def test_sentences_are_lines_within_limits() -> None:
    options = AppOptions(max_sentences=2, max_letters=7)

    assert read_sentences(" the cat \n\n  a, [b]\r\n", options) == ["the cat", "a, [b]"]
    for text in ("", " \n ", "a\nb\nc", "eight le"):
        with pytest.raises(UserError, match="sentences: "):
            read_sentences(text, options)


def test_threshold_is_a_number_or_empty() -> None:
    assert read_threshold(" ") is None
    assert read_threshold("0.25") == 0.25
    for text in ("half", "1.5", "nan"):
        with pytest.raises(UserError, match="threshold: "):
            read_threshold(text)


def test_only_clips_inside_the_folder_are_accepted(clips_dir: Path) -> None:
    assert list_clips(clips_dir) == ["images", "odd images", "one.mp4"]
    assert check_clip(clips_dir / "one.mp4", clips_dir) == clips_dir / "one.mp4"
    assert check_clip(clips_dir / "images", clips_dir) == clips_dir / "images"
    refused = ["../secret.txt", "link.mp4", "odd images", ".", "missing.mp4", "/etc/passwd"]
    for name in refused:
        with pytest.raises(UserError, match="is not a clip of this page"):
            check_clip(clips_dir / name, clips_dir)
