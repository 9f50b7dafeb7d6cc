"""Measure where the objects of a drawn scene are, how big and fast they are, and when they act.

Lengths are shares of the frame's side, times are shares of the clip. A quantity that can be seen in
several ways has several measures (M), such as the centre of the path and of the visible mask. One
object exceeds another only if all measures say so.
"""

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np

from sola.datasets.moving_shapes import scene

SIDES = tuple(scene.DIRECTIONS)
EVENTS = ("stop", "start", "enter", "leave")
MIN_SEEN = 0.6
"""Share of an object that must be visible when it stops or starts."""
MIN_COMMON = 0.4
"""Share of the clip on which two objects must be visible together to compare their places."""
MOST_FRAMES = 0.9
"""Share of the frames on which a relation must hold."""
GAP, REACH_GAP, MIN_SLOPE = 0.09, 0.7, 0.75
"""Smallest distance along a direction: of the frame, of both radii, of the distance across."""
SLIP = 0.03
"""Largest distance on any frame along a direction in which an object clearly does not lie."""


class Measures(NamedTuple):
    """Measures of the G objects of a scene on T frames. NaN means that an object has none."""

    amounts: dict[str, np.ndarray]
    """Sides, "big", "small", "fast", "slow" -> (G, M, T or 1); larger is farther or more so."""
    is_beside: dict[str, np.ndarray]
    """Side -> (G, G): 1 if the first object is on that side of the second, 0 if not, -1 unclear."""
    times: dict[str, np.ndarray]
    """Event -> (G, M, 1): time at which an object stops, starts, enters or leaves."""
    is_unclear: dict[str, np.ndarray]
    """Event -> (G,) bool: whether a person could dispute that or when the event happens."""


def measure(drawn: scene.Scene) -> Measures:
    """Measure the objects of a scene that was drawn with all its frames."""
    masks, objects = drawn.masks, drawn.objects
    num_frames, side_px = masks.shape[1], masks.shape[2]
    progress = np.arange(num_frames) / max(num_frames - 1, 1)
    outlines = [[scene.outline(item, p) / scene.BASE_SIZE_PX for p in progress] for item in objects]
    is_there = np.asarray(masks.any(axis=(2, 3)))
    spots = np.array([[scene.find_centre(item, p) for p in progress] for item in objects])
    seen, low, high = _boxes(masks)
    centres = np.stack([spots / scene.BASE_SIZE_PX, seen])  # (2, G, T, 2)
    centres[:, ~is_there] = np.nan
    extents = np.array([[np.ptp(corners, axis=0).max() for corners in one] for one in outlines])
    areas = np.array(
        [[cv2.contourArea(corners.astype(np.float32)) for corners in one] for one in outlines]
    )
    visible = masks.sum(axis=(2, 3)) / side_px**2
    amounts = {}
    for side, (x, y) in scene.DIRECTIONS.items():
        axis, sign = (0, x) if x else (1, y)
        edges = (high if sign > 0 else low)[None]
        amounts[side] = np.moveaxis(np.concatenate([centres, edges])[..., axis] * sign, 0, 1)
    typical = np.array([np.median(row[row > 0]) if row.any() else 0.0 for row in visible])
    with np.errstate(divide="ignore"):
        sizes = np.log([np.sqrt(areas), extents, np.tile(np.sqrt(typical), (num_frames, 1)).T])
        speeds = np.log(_speeds(centres[0], is_there))[:, :, None]
    sizes[:, ~is_there] = np.nan
    speeds[~np.isfinite(speeds)] = np.nan
    amounts["big"] = np.moveaxis(sizes, 0, 1)
    amounts["fast"] = speeds
    amounts |= {"small": -amounts["big"], "slow": -speeds}
    is_seen = np.asarray(visible > MIN_SEEN * areas)
    times, is_unclear = _times(objects, centres[0], is_there, is_seen)
    is_beside = {side: _beside(side, centres, extents / 2) for side in SIDES}
    return Measures(amounts, is_beside, times, is_unclear)


def find_leader(amounts: np.ndarray, members: Sequence[int], margin: float) -> int | None:
    """Return the member that has most by a margin in all measures; None if no one clearly has.

    Args:
        amounts: (G, M, T); NaN on frames where an object has none.
        members: objects to compare; fewer than two with an amount give None.
        margin: smallest lead over each other member.
    """
    found = amounts[list(members)]
    is_known = np.isfinite(found).all(axis=1)
    if is_known.any(axis=1).sum() < 2:
        return None
    found = np.where(is_known[:, None], found, -np.inf)
    for position, member in enumerate(members):
        rivals = np.delete(found, position, axis=0).max(axis=0)
        leads = (found[position] >= rivals + margin).all(axis=0) & is_known[position]
        if leads.mean() >= MOST_FRAMES:
            return member
    return None


def _boxes(masks: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return centre, low and high corner (x, y) of the visible masks: (G, T, 2) each, or NaN."""
    found = np.full((3, *masks.shape[:2], 2), np.nan)
    for where in np.argwhere(masks.any(axis=(2, 3))):
        points = np.argwhere(masks[tuple(where)])[:, ::-1] + 0.5
        found[(slice(None), *where)] = points.mean(0), points.min(0) - 0.5, points.max(0) + 0.5
    centres, low, high = found / masks.shape[2]
    return centres, low, high


def _speeds(centres: np.ndarray, is_there: np.ndarray) -> np.ndarray:
    """Return (G, 2): mean and largest way per frame while an object is in the picture."""
    both = is_there[:, 1:] & is_there[:, :-1]
    steps = np.where(both, np.linalg.norm(np.diff(centres, axis=1), axis=-1), 0.0)
    steps[steps < 1e-6] = 0.0
    mean = steps.sum(axis=1) / np.maximum(both.sum(axis=1), 1)
    return np.stack([mean, steps.max(axis=1, initial=0.0)], axis=1)


def _beside(side: str, centres: np.ndarray, reaches: np.ndarray) -> np.ndarray:
    """Return (G, G): 1 where an object is clearly on a side of another, 0 clearly not, else -1."""
    unit = np.array(scene.DIRECTIONS[side])
    offsets = centres[:, :, None] - centres[:, None]  # (2, G, G, T, 2)
    along, across = offsets @ unit, np.abs(offsets @ unit[::-1]).max(axis=0)
    is_common = np.isfinite(along).all(axis=0)
    count = is_common.sum(axis=-1)
    gap = np.maximum(GAP, REACH_GAP * (reaches[:, None] + reaches[None]))
    is_on = (along.min(axis=0) >= np.maximum(gap, MIN_SLOPE * across)) & is_common
    is_off = (along.max(axis=0) <= 0) & is_common
    enough = MOST_FRAMES * count
    never_far = np.where(is_common, along.max(axis=0), 0).max(axis=-1) <= SLIP
    found = np.where(
        (is_off.sum(-1) >= enough) & never_far, 0, np.where(is_on.sum(-1) >= enough, 1, -1)
    )
    return np.where(count >= MIN_COMMON * centres.shape[2], found, -1)


def _times(
    objects: Sequence[scene.SceneObject],
    centres: np.ndarray,
    is_there: np.ndarray,
    is_seen: np.ndarray,
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Return the times of events, and whether they are unclear; see Measures."""
    last_idx = max(is_there.shape[1] - 1, 1)
    is_inside = np.asarray(((centres > 0) & (centres < 1)).all(axis=-1))
    times = {event: np.full((len(objects), 2, 1), np.nan) for event in EVENTS}
    is_unclear = {event: np.zeros(len(objects), bool) for event in EVENTS}
    for idx, item in enumerate(objects):
        motion, (first, last) = item.motion, item.stage
        moves = bool(item.direction) and motion != "reversing"
        if motion == scene.STOPPING:
            times["stop"][idx] = last
            is_unclear["stop"][idx] = not is_seen[idx, round(last * last_idx)]
        if moves and motion != "entering":
            times["start"][idx] = first  # 0 for an object that moves from the beginning
            is_unclear["start"][idx] = not is_seen[idx, round(first * last_idx)]
        if not moves and motion != "still":
            is_unclear["stop"][idx] = is_unclear["start"][idx] = True
        is_unclear["start"][idx] |= motion == "entering"
        both = is_there[idx], is_inside[idx]
        if motion == "entering":
            times["enter"][idx, :, 0] = [int(on.argmax()) / last_idx for on in both]
        if motion == "leaving":
            times["leave"][idx, :, 0] = [1 - int(on[::-1].argmax()) / last_idx for on in both]
    return times, is_unclear
