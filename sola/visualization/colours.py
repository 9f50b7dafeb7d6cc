"""Colours of masks, plots and pages.

Correct, missed and wrong pixels differ in lightness as well as in hue, so that colour-blind people
can tell them apart. Text and the edges of controls have the contrast of WCAG 2.2 AA. Tests measure
both.
"""

import colorsys

# RGB of masks drawn over a frame; false positives are also hatched
MASKS = {
    "truth": (70, 230, 120),
    "selection": (255, 127, 14),
    "oracle": (176, 124, 255),
    "track": (25, 211, 230),
    "other": (255, 221, 51),
    "hit": (70, 230, 120),
    "missed": (255, 255, 255),
    "wrong": (214, 10, 86),
}
# role -> (colour on a light page, colour on a dark page)
THEMES = {
    "paper": ("#f6f7f9", "#14171c"),
    "card": ("#ffffff", "#1d2229"),
    "ink": ("#1d232b", "#e8ebef"),
    "quiet": ("#5d6875", "#9ca7b4"),
    "grid": ("#dfe3e8", "#343c46"),
    "edge": ("#828d9a", "#6b7683"),
    "accent": ("#1d63d1", "#7db1ff"),
    "selection": ("#d9680c", "#ff9440"),
    "oracle": ("#7a4fd0", "#b397ff"),
    "correct": ("#14a05e", "#62e39a"),
    "wrong": ("#8f0f43", "#e8457f"),
}
# role -> colour in the file of a plot
LIGHT = {role: light for role, (light, _) in THEMES.items()}


def track_colour(number: int) -> tuple[int, int, int]:
    """Return the RGB of a track among others; consecutive numbers differ most."""
    # steps of the golden ratio around the hue circle
    red, green, blue = colorsys.hsv_to_rgb(number * 0.618 % 1, 0.8, 1.0)
    return round(255 * red), round(255 * green), round(255 * blue)


def as_css() -> str:
    """Return every colour as a CSS custom property: ``--paper``, ..., ``--mask-truth``, ..."""
    lines = [f"--{role}: light-dark({light}, {dark});" for role, (light, dark) in THEMES.items()]
    lines += [f"--mask-{name}: rgb({r} {g} {b});" for name, (r, g, b) in MASKS.items()]
    return "\n".join([":root {", *(f"  {line}" for line in lines), "}\n"])
