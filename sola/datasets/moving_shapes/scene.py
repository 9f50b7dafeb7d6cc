"""Draw a scene: coloured shapes that move over a background, and each object's visible mask.

A scene is a pure function of its seed and settings. All lengths below are for frames of 128 px and
clips of 16 frames; other sizes and lengths show the same scene, scaled and resampled.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

Rng = np.random.Generator
BASE_SIZE_PX = 128
MARGIN_PX = 24
"""Margin of a background's texture on every side."""
SHAPES = ("circle", "square", "triangle", "star", "cross", "hexagon")
COLOURS: dict[str, tuple[int, int, int]] = {
    "red": (220, 40, 40),
    "green": (40, 180, 60),
    "blue": (50, 80, 220),
    "yellow": (235, 215, 50),
    "purple": (150, 50, 180),
    "orange": (240, 140, 30),
    "cyan": (50, 205, 215),
    "white": (240, 240, 240),
}
DIRECTIONS = {"left": (-1.0, 0.0), "right": (1.0, 0.0), "up": (0.0, -1.0), "down": (0.0, 1.0)}
PLAIN_MOTIONS = (*DIRECTIONS, "rotating", "growing", "shrinking", "still")
MOTIONS = (*PLAIN_MOTIONS, "reversing", "starting_late", "leaving", "entering")
STOPPING = "stopping"
"""A motion for ``SceneSettings.motions``: moves, then stops for the rest of the clip."""
VARIED_TURNS = {
    STOPPING: (0.25, 0.85),
    "starting_late": (0.15, 0.7),
    "leaving": (0.55, 0.95),
    "entering": (0.05, 0.45),
}
"""Motion -> range of SceneObject.turn with ``SceneSettings.has_varied_turns``."""


@dataclass(frozen=True)
class SceneSettings:
    """Settings of a scene."""

    num_frames: int = 16
    frame_size_px: int = BASE_SIZE_PX
    min_objects: int = 2
    max_objects: int = 6
    motions: tuple[str, ...] = MOTIONS
    distractor_probability: float = 0.35
    """Probability that an object repeats an earlier one's shape and colour with another motion."""
    num_looks: tuple[int, int] | None = None
    """Number of shapes and of colours among which each scene chooses; all by default."""
    radius_px: tuple[float, float] = (11, 23)
    """Range of an object's radius."""
    travel_px: tuple[float, float] = (30, 68)
    """Range of the way that an object moves, except those that leave or enter."""
    has_varied_turns: bool = False
    """Whether objects start, enter and leave at times of VARIED_TURNS instead of similar times."""
    has_moving_background: bool = True
    max_noise: float = 10.0
    """Largest standard deviation of the sensor noise, in grey levels."""


@dataclass(frozen=True)
class SceneObject:
    """One shape and its path; later objects of a scene are drawn over earlier ones."""

    shape: str
    colour: str
    motion: str
    direction: str
    """left, right, up or down; "" if the motion has no direction."""
    radius_px: float
    rgb: tuple[float, float, float]
    start: tuple[float, float]
    """(x, y) of the centre on the first frame, px."""
    travel_px: float
    turn: float
    """Share of the clip, 0 to 1, after which a reversing object turns, a late one starts or a
    stopping one stops."""
    angle: float
    spin: float
    """Radians over the whole clip (rotating only)."""
    growth: float
    """Change of the radius over the whole clip, as a share of radius_px."""
    stage: tuple[float, float] = (0.0, 1.0)
    """Shares of the clip at which the travel starts and ends."""


@dataclass(frozen=True)
class Scene:
    """A drawn scene."""

    frames: np.ndarray
    """(T, H, W, 3) uint8 RGB."""
    masks: np.ndarray
    """(G, T, H, W) bool, the part of each object that is not covered by another."""
    objects: tuple[SceneObject, ...]


def make_scene(
    seed: int, settings: SceneSettings, frame_indices: Sequence[int] | None = None
) -> Scene:
    """Draw the scene of a seed.

    Args:
        seed: seed of the scene.
        settings: settings of the scene.
        frame_indices: frames to draw, out of ``settings.num_frames``; all by default. The content
            of a frame, except its noise, does not depend on the other frames drawn.
    """
    rng, size = np.random.default_rng(seed), settings.frame_size_px
    background = _draw_background(rng, is_moving=settings.has_moving_background)
    objects = _draw_objects(rng, settings)
    noise = rng.uniform(0.0, settings.max_noise)
    indices = range(settings.num_frames) if frame_indices is None else frame_indices
    frames = np.empty((len(indices), size, size, 3), np.uint8)
    masks = np.zeros((len(objects), len(indices), size, size), np.uint8)
    for position, index in enumerate(indices):
        progress = index / max(settings.num_frames - 1, 1)
        image = background(progress, size)
        for item, mask in zip(objects, masks[:, position], strict=True):
            corners_px = outline(item, progress) * (size / BASE_SIZE_PX) - 0.5
            corners = np.round(corners_px * 256).astype(np.int32)
            cv2.fillPoly(image, [corners], item.rgb, lineType=cv2.LINE_AA, shift=8)
            cv2.fillPoly(mask, [corners], 1, lineType=cv2.LINE_8, shift=8)
        image += rng.normal(0, noise, (size, size, 1)).astype(np.float32)
        frames[position] = np.clip(image, 0, 255).astype(np.uint8)
    whole = masks.astype(bool)
    whole[:-1] &= ~np.logical_or.accumulate(whole[:0:-1])[::-1]  # minus what later objects cover
    return Scene(frames, whole, objects)


def _draw_objects(rng: Rng, settings: SceneSettings) -> tuple[SceneObject, ...]:
    objects: list[SceneObject] = []
    shapes, colours = list(SHAPES), list(COLOURS)
    if settings.num_looks:
        shapes, colours = (
            rng.choice(all_of_them, count, replace=False).tolist()
            for all_of_them, count in zip((shapes, colours), settings.num_looks, strict=True)
        )
    for _ in range(int(rng.integers(settings.min_objects, settings.max_objects + 1))):
        shape, colour = str(rng.choice(shapes)), str(rng.choice(colours))
        motions = list(settings.motions)
        if objects and rng.random() < settings.distractor_probability:
            model = objects[int(rng.integers(len(objects)))]
            shape, colour = model.shape, model.colour
            motions = [motion for motion in motions if motion != model.motion]
        if shape == "circle":  # a rotating circle looks like a still one
            motions = [motion for motion in motions if motion != "rotating"]
        for _ in range(6):  # try a few times not to start on top of another object
            new = _draw_object(rng, shape, colour, str(rng.choice(motions)), settings)
            reach = [1.1 * (new.radius_px + other.radius_px) for other in objects]
            if all(math.dist(new.start, o.start) >= r for o, r in zip(objects, reach, strict=True)):
                break
        objects.append(new)
    return tuple(objects)


def _draw_object(
    rng: Rng, shape: str, colour: str, motion: str, settings: SceneSettings
) -> SceneObject:
    radius = rng.uniform(*settings.radius_px)
    direction = motion if motion in DIRECTIONS else str(rng.choice(list(DIRECTIONS)))
    least, most = settings.travel_px
    least = max(least, 40) if motion == STOPPING else least  # to be seen before an early stop
    travel = rng.uniform(least, min(most, 50) if motion in ("reversing", "starting_late") else most)
    if motion in ("rotating", "growing", "shrinking", "still"):
        direction = ""
    unit = DIRECTIONS.get(direction, (0.0, 0.0))
    start = [_draw_start(rng, radius, travel * component) for component in unit]
    if motion in ("leaving", "entering"):  # one end of the path is wholly outside the frame
        axis = 0 if unit[0] else 1
        depth = rng.uniform(radius, 45)  # distance of the other end from the border
        travel = depth + 1.4 * radius
        is_high_border = (unit[axis] > 0) == (motion == "leaving")
        start[axis] = BASE_SIZE_PX - depth if is_high_border else depth
        start[axis] -= unit[axis] * travel if motion == "entering" else 0
    growth = {"growing": 1.0, "shrinking": -0.75}.get(motion, 0.0) * rng.uniform(0.45, 0.9)
    red, green, blue = np.clip(np.array(COLOURS[colour]) + rng.normal(0, 10, 3), 0, 255).tolist()
    is_rotating = motion == "rotating"
    is_varied = settings.has_varied_turns or motion == STOPPING
    turn = rng.uniform(*(VARIED_TURNS.get(motion, (0.4, 0.6)) if is_varied else (0.4, 0.6)))
    stages = {STOPPING: (0.0, turn), "starting_late": (turn, 1.0)}
    stages["leaving"] = (0.0, turn if is_varied else 0.85)
    stages["entering"] = (turn if is_varied else 0.15, 1.0)
    return SceneObject(
        shape=shape,
        colour=colour,
        motion=motion,
        direction=direction,
        radius_px=radius,
        rgb=(red, green, blue),
        start=(start[0], start[1]),
        travel_px=travel * turn if motion == STOPPING else travel,  # stops on its way
        turn=turn,
        angle=rng.uniform(0, 2 * math.pi) if is_rotating else rng.uniform(-0.25, 0.25),
        spin=float(rng.choice([-1, 1])) * rng.uniform(1.8, 3.75) if is_rotating else 0.0,
        growth=growth,
        stage=stages.get(motion, (0.0, 1.0)),
    )


def _draw_start(rng: Rng, radius: float, travel: float) -> float:
    """Draw a coordinate from which a signed travel stays inside the frame."""
    low, high = radius * 0.8, BASE_SIZE_PX - radius * 0.8
    if travel < 0:
        low = min(high - 1, low - travel)
    else:
        high = max(low + 1, high - travel)
    return float(rng.uniform(low, high))


def _path(item: SceneObject, progress: float) -> float:
    """Return the share of the travel that is done after a share ``progress`` of the clip."""
    if item.motion == "reversing" and progress < item.turn:
        return progress / item.turn
    if item.motion == "reversing":
        return 1 - (progress - item.turn) / (1 - item.turn)
    first, last = item.stage
    return min(1.0, max(0.0, (progress - first) / (last - first)))


def find_centre(item: SceneObject, progress: float) -> np.ndarray:
    """Return the centre (x, y) in px of the 128 px frame after a share of the clip."""
    unit = np.array(DIRECTIONS.get(item.direction, (0.0, 0.0)))
    return np.array(item.start) + unit * (item.travel_px * _path(item, progress))


def outline(item: SceneObject, progress: float) -> np.ndarray:
    """Return the (K, 2) corners in px of the 128 px frame after a share of the clip."""
    growth_start = 0.75 if item.growth > 0 else 1.3 if item.growth < 0 else 1.0
    radius = item.radius_px * (growth_start + item.growth * progress)
    angle = item.angle + item.spin * progress
    rotation = np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
    return _CORNERS[item.shape] * radius @ rotation + find_centre(item, progress)


def _draw_background(rng: Rng, *, is_moving: bool) -> Callable[[float, int], np.ndarray]:
    """Draw a texture; a moving one drifts by 8 to 40 px over the clip.

    Returns:
        A function (share of the clip, size in px) -> new array (size, size, 3) float32.
    """
    base = rng.uniform(20, 200, 3).astype(np.float32)
    kind = rng.integers(2, 5) if is_moving else rng.integers(5)
    side = BASE_SIZE_PX + 2 * MARGIN_PX
    canvas = np.clip(base + _texture(rng, int(kind), side, base), 0, 255).astype(np.float32)
    angle, distance = rng.uniform(0, 2 * math.pi), rng.uniform(8, 40) if is_moving else 0.0
    drift = (distance * math.cos(angle), distance * math.sin(angle))

    def draw(progress: float, size: int) -> np.ndarray:
        scale = size / BASE_SIZE_PX
        dx, dy = (-(MARGIN_PX + along * (progress - 0.5)) * scale for along in drift)
        matrix = np.array([[scale, 0, dx], [0, scale, dy]], np.float32)
        return cv2.warpAffine(canvas, matrix, (size, size), flags=cv2.INTER_LINEAR)

    return draw


def _texture(rng: Rng, kind: int, side: int, base: np.ndarray) -> np.ndarray:
    """Return the texture to add to the base colour: (side, side, 3), or broadcastable to it."""
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


def _polygon(num_corners: int, radius: object = 1.0, first: float = 0.0) -> np.ndarray:
    angles = first + np.arange(num_corners) * 2 * math.pi / num_corners
    return np.asarray(np.array(radius) * np.stack([np.cos(angles), np.sin(angles)], 1))


_ARM = np.array([[-0.36, -1], [0.36, -1], [0.36, -0.36]])
"""A quarter of a cross."""
_CORNERS: dict[str, np.ndarray] = {
    "circle": _polygon(32),
    "square": _polygon(4, 0.85 * math.sqrt(2), math.pi / 4),
    "triangle": _polygon(3, 1.15, -math.pi / 2),
    "star": _polygon(10, [[1.2], [0.52]] * 5, -math.pi / 2),
    "hexagon": _polygon(6),
    "cross": np.concatenate([_ARM, _ARM[:, ::-1] * (-1, 1), -_ARM, _ARM[:, ::-1] * (1, -1)]),
}
