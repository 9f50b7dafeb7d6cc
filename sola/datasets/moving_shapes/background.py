"""Backgrounds of moving_shapes: flat, graded, cloudy, striped or chequered, still or drifting."""

import math
from dataclasses import dataclass

import cv2
import numpy as np

MARGIN_PX = 24


@dataclass(frozen=True)
class Background:
    """A texture and how it drifts."""

    canvas: np.ndarray
    """(S, S, 3) float32, the texture with a margin of MARGIN_PX on every side."""
    drift: tuple[float, float]
    """(x, y) shift over the whole clip, px of the 128 px frame."""

    def at(self, progress: float, size: int) -> np.ndarray:
        """The background after a share of the clip: (size, size, 3) float32, a fresh array."""
        inner = self.canvas.shape[0] - 2 * MARGIN_PX
        scale = size / inner
        shift = [-(MARGIN_PX + drift * (progress - 0.5)) * scale for drift in self.drift]
        matrix = np.array([[scale, 0, shift[0]], [0, scale, shift[1]]], np.float32)
        return cv2.warpAffine(self.canvas, matrix, (size, size), flags=cv2.INTER_LINEAR)


def draw_background(rng: np.random.Generator, size_px: int, *, is_moving: bool) -> Background:
    """Draw a texture; a moving one drifts by 8 to 40 px over the clip."""
    side = size_px + 2 * MARGIN_PX
    base = rng.uniform(20, 200, 3).astype(np.float32)
    kind = rng.integers(2, 5) if is_moving else rng.integers(5)
    canvas = np.clip(base + _texture(rng, int(kind), side, base), 0, 255).astype(np.float32)
    angle, distance = rng.uniform(0, 2 * math.pi), rng.uniform(8, 40) if is_moving else 0.0
    return Background(canvas, (distance * math.cos(angle), distance * math.sin(angle)))


def _texture(rng: np.random.Generator, kind: int, side: int, base: np.ndarray) -> np.ndarray:
    """What is added to the base colour: (side, side, 3), or less where it broadcasts."""
    ys, xs = np.mgrid[:side, :side].astype(np.float32)
    if kind == 0:
        return np.zeros((side, side, 3), np.float32)
    if kind == 1:
        ramp = (xs if rng.random() < 0.5 else ys) / side
        return ramp[..., None] * (rng.uniform(20, 200, 3) - base)
    if kind == 2:
        cells = int(rng.integers(4, 17))
        clouds = rng.normal(0, 28, (cells, cells, 3)).astype(np.float32)
        return cv2.resize(clouds, (side, side), interpolation=cv2.INTER_CUBIC)
    period, angle = rng.uniform(6, 20), rng.uniform(0, math.pi)
    along = (xs * math.cos(angle) + ys * math.sin(angle)) // period
    across = (ys * math.cos(angle) - xs * math.sin(angle)) // period if kind == 4 else 0
    return ((along + across) % 2)[..., None] * rng.uniform(-45, 45, 3)
