"""Text of pictures: every character is drawn by a font that has it, and lines fit their width."""

import logging
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from matplotlib import font_manager
from matplotlib.ft2font import FT2Font

from sola.visualization import fonts
from sola.visualization.overlays import text_block

FONTS_DIR = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
ANOTHER = FONTS_DIR / "STIXGeneral.ttf"
WIDTH_PX, FONT_PX = 300, 16


@pytest.fixture(autouse=True)
def _forget_fonts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fonts, "_FONTS", {})
    monkeypatch.setattr(fonts, "_WARNED", set())
    fonts._installed.cache_clear()


def install(monkeypatch: pytest.MonkeyPatch, *paths: Path) -> None:
    """Make these the only installed fonts."""
    monkeypatch.setattr(font_manager, "findSystemFonts", lambda: [str(path) for path in paths])


@pytest.mark.parametrize(
    "text", ["the dog", "ο σκύλος που τρέχει", "собака, бегущая налево", "كلب"]
)
def test_common_scripts_need_no_installed_font(
    text: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    install(monkeypatch)

    assert (text_block(text, WIDTH_PX, FONT_PX) < 128).any()

    assert not caplog.records
    assert {Path(path).name for path, _ in fonts._runs(text)} == {"DejaVuSans.ttf"}


def test_characters_without_a_font_are_boxes_with_one_warning_per_script(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    install(monkeypatch, Path(__file__))  # not a font
    with caplog.at_level(logging.WARNING):
        pictures = [text_block(text, WIDTH_PX, FONT_PX) for text in ("你好", "狗狗", "दौड़ता", "")]

    warnings = [record.getMessage() for record in caplog.records]
    assert len(warnings) == 2
    assert "你好 (CJK)" in warnings[0]
    assert "DEVANAGARI" in warnings[1]
    np.testing.assert_array_equal(pictures[0], pictures[1])  # the same boxes
    assert (pictures[0] < 128).any()
    assert (pictures[3] == 255).all()


def test_installed_font_draws_what_dejavu_lacks(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    own, other = (FT2Font(str(path)) for path in (FONTS_DIR / "DejaVuSans.ttf", ANOTHER))
    only_other = next(
        chr(code)
        for code in other.get_charmap()
        if not own.get_char_index(code) and chr(code).isalpha()
    )
    install(monkeypatch, ANOTHER)

    runs = fonts._runs(f"a {only_other}\u0301 b")

    assert [(Path(path).name, run) for path, run in runs] == [
        ("DejaVuSans.ttf", "a "),
        (ANOTHER.name, f"{only_other}\u0301"),  # the accent stays with its letter
        ("DejaVuSans.ttf", " b"),
    ]
    assert not caplog.records


@pytest.mark.parametrize(
    "text",
    ["the dog behind the second tree " * 20, "狗" * 300, "W" * 300, "it is a " + "i" * 400],
    ids=["words", "without spaces", "wide letters", "narrow letters"],
)
def test_lines_fit_their_width_and_long_text_ends_with_dots(text: str) -> None:
    lines = fonts.wrap(text, WIDTH_PX, FONT_PX, max_lines=4)

    assert len(lines) == 4
    assert lines[-1].endswith(fonts.DOTS)
    lengths = [fonts.length_px(line, FONT_PX) for line in lines]
    assert max(lengths) <= WIDTH_PX
    assert min(lengths) > WIDTH_PX / 2  # full lines
    assert text.startswith(" ".join(lines[:1]))


def test_text_of_few_words_is_one_line() -> None:
    assert fonts.wrap(" the\ndog  ", WIDTH_PX, FONT_PX, max_lines=4) == ["the dog"]
    assert fonts.wrap("", WIDTH_PX, FONT_PX, max_lines=4) == [""]
    assert fonts.wrap("the dog", 5, FONT_PX, max_lines=2) == ["t", fonts.DOTS]
