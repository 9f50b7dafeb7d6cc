"""Wrap and draw text of any script with DejaVu Sans and the fonts that are installed.

DejaVu Sans comes with matplotlib and has Latin, Greek, Cyrillic, Arabic, Hebrew and many symbols.
matplotlib is imported when the first text is drawn.
"""

import logging
import unicodedata
from collections.abc import Iterable, Iterator
from functools import cache
from itertools import groupby, islice

from PIL import Image, ImageDraw, ImageFont

log = logging.getLogger(__name__)

INK = (20, 20, 20)
DOTS = "..."
# parts of file names of fonts that are tried last
STYLES = ("bold", "italic", "oblique", "black", "light", "thin", "mono", "serif")
# categories of characters that belong to the one before: marks, joiners, control characters
JOINING = ("Mn", "Mc", "Me", "Cf", "Cc")
BITMAP_PX = 109  # the only size of Noto Color Emoji
MAX_QUOTED = 20  # characters that a warning quotes
_FONTS: dict[str, str] = {}
"""Character -> path of the font that draws it."""
_WARNED: set[str] = set()
"""Scripts without a font, which have been warned about."""


def wrap(text: str, width_px: int, font_px: int, max_lines: int) -> list[str]:
    """Return the lines of a text, at least one; dots end a text that has more lines.

    Lines break at spaces. A word that is wider than a line, such as a Chinese sentence, breaks
    between any two characters.
    """
    lines = list(islice(_lines(text, width_px, font_px), max_lines + 1))
    if len(lines) > max_lines:
        last = lines[max_lines - 1]
        while last and length_px(last + DOTS, font_px) > width_px:
            last = last[:-1].rstrip()
        lines[max_lines - 1 :] = [last + DOTS]
    return lines


def length_px(line: str, font_px: int) -> float:
    """Return the width of a line."""
    return sum(_advance_px(run, path, font_px) for path, run in _runs(line))


def draw_line(picture: Image.Image, xy: tuple[float, float], line: str, font_px: int) -> None:
    """Draw a line of text on an RGB picture, each character in a font that has it.

    Right-to-left text is in its own order if Pillow has the library Raqm
    (``PIL.features.check("raqm")``, true of its wheels) and one font has all characters of the
    line. Otherwise the parts of the line follow each other from left to right.

    Args:
        picture: changes.
        xy: left end of the baseline.
        line: characters that no installed font has are drawn as boxes, with a warning per script.
        font_px: size of the font.
    """
    x, y = xy
    for path, run in _runs(line):
        font = _load(path, font_px)
        if font.size == font_px:
            draw = ImageDraw.Draw(picture)
            draw.text((x, y), run, fill=INK, font=font, anchor="ls", embedded_color=True)
        else:
            _, top, right, bottom = font.getbbox(run, anchor="ls")
            stamp = Image.new("RGBA", (max(1, round(right)), max(1, round(bottom - top))))
            draw = ImageDraw.Draw(stamp)
            draw.text((0, -top), run, font=font, anchor="ls", embedded_color=True)
            scale = font_px / font.size
            stamp.thumbnail((stamp.width * scale, stamp.height * scale))
            picture.paste(stamp, (round(x), round(y + top * scale)), stamp)
        x += _advance_px(run, path, font_px)


def load_font(font_px: int) -> ImageFont.FreeTypeFont:
    """Return DejaVu Sans at a size."""
    return _load(_dejavu(), font_px)


def _lines(text: str, width_px: int, font_px: int) -> Iterator[str]:
    line = ""
    for word in text.split():
        joined = f"{line} {word}".lstrip()
        if length_px(joined, font_px) <= width_px:
            line = joined
        elif length_px(word, font_px) <= width_px:
            yield line
            line = word
        else:
            for char in f" {word}" if line else word:
                if line and not _joins(char) and length_px(line + char, font_px) > width_px:
                    yield line
                    line = ""
                line += char
    yield line


def _runs(line: str) -> list[tuple[str, str]]:
    """Return (path of a font, characters that it draws) in order."""
    _find_fonts([char for char in dict.fromkeys(line) if not (char in _FONTS or _joins(char))])
    paths: list[str] = []
    for char in line:
        follows = paths[-1] if paths else _dejavu()
        paths.append(follows if _joins(char) else _FONTS[char])
    pairs = groupby(zip(paths, line, strict=True), key=lambda pair: pair[0])
    return [(path, "".join(char for _, char in group)) for path, group in pairs]


def _find_fonts(missing: list[str]) -> None:
    """Find a font for each character, with one warning per script that has none."""
    for path in _candidates() if missing else ():
        found = _shown(path, missing)
        _FONTS.update(dict.fromkeys(found, path))
        missing = [char for char in missing if char not in found]
        if not missing:
            return
    _FONTS.update(dict.fromkeys(missing, _dejavu()))
    for script, chars in groupby(sorted(missing, key=_script), key=_script):
        if script not in _WARNED:
            _WARNED.add(script)
            log.warning(
                "no installed font shows %s (%s): boxes are drawn in pictures. Install Noto "
                "fonts (Debian and Ubuntu: apt install fonts-noto).",
                "".join(chars)[:MAX_QUOTED],
                script,
            )


def _candidates() -> Iterator[str]:
    yield _dejavu()
    yield from tuple(dict.fromkeys(_FONTS.values()))
    yield from _installed()


@cache
def _installed() -> list[str]:
    """Return the paths of all installed fonts, upright and regular ones first."""
    # matplotlib's own list of fonts is a file that may be older than a font
    from matplotlib.font_manager import findSystemFonts

    def rank(path: str) -> tuple[bool, str]:
        return any(style in path.lower() for style in STYLES), path

    return sorted(findSystemFonts(), key=rank)


def _shown(path: str, chars: Iterable[str]) -> set[str]:
    """Return the characters that Pillow draws with a font."""
    from matplotlib.ft2font import FT2Font

    try:
        glyphs, font = FT2Font(path), _load(path, BITMAP_PX)
    except (OSError, RuntimeError):  # not a font that FreeType reads
        return set()
    own = {char for char in chars if glyphs.get_char_index(ord(char))}
    return {char for char in own if char.isspace() or font.getmask(char).getbbox()}


@cache
def _load(path: str, font_px: int) -> ImageFont.FreeTypeFont:
    try:
        return ImageFont.truetype(path, font_px)
    except OSError:  # a font of bitmaps
        return ImageFont.truetype(path, BITMAP_PX)


@cache
def _dejavu() -> str:
    import matplotlib

    return f"{matplotlib.get_data_path()}/fonts/ttf/DejaVuSans.ttf"


def _advance_px(run: str, path: str, font_px: int) -> float:
    font = _load(path, font_px)
    return font.getlength(run) * font_px / font.size


def _joins(char: str) -> bool:
    return unicodedata.category(char) in JOINING


def _script(char: str) -> str:
    """Return the script of a letter or digit, the first word of its name; else "SYMBOLS"."""
    name = unicodedata.name(char, "")
    return name.split()[0] if char.isalnum() and name else "SYMBOLS"
