"""Colours can be told apart."""

from itertools import combinations

import numpy as np
import pytest
from numpy.typing import NDArray

from sola.visualization.colours import MASKS, THEMES, as_css

SEEN_BY = {
    "all": np.eye(3),
    "deuteranopes": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "protanopes": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "tritanopes": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}
"""Of linear RGB: Machado, Oliveira and Fernandes, "A Physiologically-based Model for Simulation of
Color Vision Deficiency" (2009), at full severity."""
XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
WHITE = np.array([0.9505, 1.0, 1.089])
LEAST_DIFFERENCE = 20
"""In CIELAB (1976); 2.3 can just be seen, side by side."""
TOGETHER = [
    [MASKS[name] for name in ("hit", "missed", "wrong")],
    *(
        [tuple(bytes.fromhex(THEMES[role][is_dark][1:])) for role in roles]
        for is_dark in (False, True)
        for roles in (("correct", "wrong"), ("selection", "oracle", "ink"))
    ),
]
"""Colours of the same picture."""


def lab(colour: tuple[int, ...], seen_by: str) -> NDArray[np.float64]:
    share = np.array(colour) / 255
    linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    x, y, z = np.cbrt(XYZ @ np.clip(SEEN_BY[seen_by] @ linear, 1e-3, 1) / WHITE)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("seen_by", SEEN_BY)
def test_colours_of_one_picture_differ_to_everyone(seen_by: str) -> None:
    for colours in TOGETHER:
        for one, other in combinations(colours, 2):
            difference = np.linalg.norm(lab(one, seen_by) - lab(other, seen_by))
            assert difference >= LEAST_DIFFERENCE, (one, other)


def test_green_and_red_of_equal_lightness_are_too_similar() -> None:
    difference = np.linalg.norm(
        lab((53, 196, 106), "deuteranopes") - lab((255, 59, 107), "deuteranopes")
    )

    assert difference < LEAST_DIFFERENCE


def test_page_has_every_colour() -> None:
    css = as_css()

    for role, (light, dark) in THEMES.items():
        assert f"--{role}: light-dark({light}, {dark});" in css
    assert "--mask-selection: rgb(255 127 14);" in css
