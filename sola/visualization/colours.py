"""Colours of masks, charts and pages, each said once.

Right, missed and wrong differ in lightness as well as in hue, for those who see fewer hues; words
and edges of controls stand out from what is behind them as WCAG 2.2 AA asks. Tests measure both.
"""

MASKS = {
    "truth": (70, 230, 120),
    "selection": (255, 127, 14),
    "oracle": (176, 124, 255),
    "track": (25, 211, 230),
    "other": (255, 221, 51),
    "hit": (70, 230, 120),
    "missed": (50, 120, 255),
    "wrong": (214, 10, 86),
}
"""RGB over a frame; what is wrong is striped too."""
LIGHT = {
    "paper": "#f6f7f9",
    "card": "#ffffff",
    "ink": "#1d232b",
    "quiet": "#5d6875",
    "grid": "#dfe3e8",
    "edge": "#828d9a",
    "accent": "#1d63d1",
    "selection": "#d9680c",
    "oracle": "#7a4fd0",
    "right": "#14a05e",
    "wrong": "#8f0f43",
}
"""By role, of a page and of a chart's file."""
DARK = {
    "paper": "#14171c",
    "card": "#1d2229",
    "ink": "#e8ebef",
    "quiet": "#9ca7b4",
    "grid": "#343c46",
    "edge": "#6b7683",
    "accent": "#7db1ff",
    "selection": "#ff9440",
    "oracle": "#b397ff",
    "right": "#62e39a",
    "wrong": "#e8457f",
}
"""The same of a page for those who like it dark."""


def as_css() -> str:
    """Every colour as a custom property: ``--paper``, ..., and ``--mask-truth``, ..."""
    lines = [f"--{role}: light-dark({LIGHT[role]}, {DARK[role]});" for role in LIGHT]
    lines += [
        f"--mask-{name}: rgb({red} {green} {blue});" for name, (red, green, blue) in MASKS.items()
    ]
    return "\n".join([":root {", *(f"  {line}" for line in lines), "}\n"])
