"""Scenes of moving_shapes: what is drawn is what the object says."""

import dataclasses
import hashlib
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from sola.datasets.moving_shapes import scene as scene_module
from sola.datasets.moving_shapes.maker import Maker
from sola.datasets.moving_shapes.scene import (
    COLOURS,
    DIRECTIONS,
    MOTIONS,
    SHAPES,
    SceneSettings,
    make_scene,
)

DIGEST = "858fe56d08a65bd2f48d8f47e5dc541e40dc31171ec516c4b3ca35d6fe37ef34"
"""Of the annotations and settings."""
MEANS = [89.476, 135.310, 87.865]

ALONE = dataclasses.replace(SceneSettings(), min_objects=1, max_objects=1)


def _areas_and_centres(masks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(T,) pixels and (T, 2) centres as (x, y) of (T, H, W) masks that are never empty."""
    areas = masks.sum(axis=(1, 2))
    ys, xs = np.mgrid[: masks.shape[1], : masks.shape[2]]
    weights = np.maximum(areas, 1)
    centres = np.stack([(masks * xs).sum((1, 2)) / weights, (masks * ys).sum((1, 2)) / weights], 1)
    return areas, centres


def _find_alone(motion: str, count: int = 3) -> list[scene_module.Scene]:
    settings = dataclasses.replace(ALONE, motions=(motion, "still"))
    seeds = (s for s in range(100) if make_scene(s, settings, []).objects[0].motion == motion)
    return [make_scene(seed, settings) for seed in islice(seeds, count)]


def test_scenes_use_every_shape_colour_and_motion() -> None:
    assert (len(SHAPES), len(COLOURS)) == (6, 8)
    required = "left right up down still growing shrinking rotating reversing starting_late leaving"
    assert set(required.split()) <= set(MOTIONS)


def test_scene_depends_on_its_seed_only() -> None:
    one, other = make_scene(3, SceneSettings()), make_scene(3, SceneSettings())
    assert (one.frames == other.frames).all()
    assert one.objects == other.objects
    assert (make_scene(4, SceneSettings()).frames != one.frames).any()


def test_masks_do_not_depend_on_the_drawn_frames() -> None:
    whole, part = make_scene(5, SceneSettings()), make_scene(5, SceneSettings(), [0, 9])
    assert (part.masks == whole.masks[:, [0, 9]]).all()


def test_masks_never_overlap_and_scenes_have_two_to_six_objects() -> None:
    counts = set()
    for seed in range(30):
        scene = make_scene(seed, SceneSettings(), [0, 8])
        assert scene.masks.sum(axis=0).max() <= 1
        counts.add(len(scene.objects))
    assert counts == {2, 3, 4, 5, 6}


@pytest.mark.parametrize("motion", DIRECTIONS)
def test_object_moves_in_its_direction(motion: str) -> None:
    for scene in _find_alone(motion):
        _, centres = _areas_and_centres(scene.masks[0])
        step = centres[-1] - centres[0]
        assert step @ np.array(DIRECTIONS[motion]) > 10


def test_growing_and_shrinking_change_the_area_steadily() -> None:
    for motion, sign in (("growing", 1), ("shrinking", -1)):
        for scene in _find_alone(motion):
            areas, _ = _areas_and_centres(scene.masks[0])
            assert (np.diff(areas.astype(int)[::5]) * sign > 0).all()


def test_still_and_rotating_objects_stay_in_place() -> None:
    for motion in ("still", "rotating"):
        for scene in _find_alone(motion):
            _, centres = _areas_and_centres(scene.masks[0])
            assert np.abs(centres - centres[0]).max() < 4
            has_changed = (scene.masks[0, 0] != scene.masks[0, 4]).any()
            assert has_changed == (motion == "rotating")
            assert not (motion == "rotating" and scene.objects[0].shape == "circle")


def test_reversing_object_returns() -> None:
    for scene in _find_alone("reversing"):
        _, centres = _areas_and_centres(scene.masks[0])
        distance = np.linalg.norm(centres - centres[0], axis=1)
        assert distance.max() > 15
        assert distance[-1] < 3


def test_late_object_waits_first() -> None:
    for scene in _find_alone("starting_late"):
        _, centres = _areas_and_centres(scene.masks[0])
        distance = np.linalg.norm(centres - centres[0], axis=1)
        assert distance[:6].max() < 1
        assert distance[-1] > 15


def test_stopping_object_rests_from_its_turn_on() -> None:
    assert "stopping" not in SceneSettings().motions
    for scene in _find_alone("stopping"):
        _, centres = _areas_and_centres(scene.masks[0])
        turn = scene.objects[0].turn
        assert 0.25 <= turn <= 0.85
        distance = np.linalg.norm(centres - centres[-1], axis=1)
        is_moving = np.arange(16) / 15 < turn
        assert distance[~is_moving].max() < 1
        assert distance[0] > 8
        assert (np.diff(distance[is_moving]) < 0).all()


def test_varied_turns_spread_the_times_of_starting_entering_and_leaving() -> None:
    motions = ("starting_late", "entering", "leaving")
    settings = dataclasses.replace(
        ALONE, motions=motions, has_varied_turns=True, radius_px=(9, 12), travel_px=(25, 45)
    )
    turns: dict[str, list[float]] = {motion: [] for motion in motions}
    for seed in range(150):
        (item,) = make_scene(seed, settings, []).objects
        assert 9 <= item.radius_px <= 12
        turns[item.motion].append(item.turn)
        stage = (0, item.turn) if item.motion == "leaving" else (item.turn, 1)
        assert item.stage == stage
    for motion, found in turns.items():
        low, high = scene_module.VARIED_TURNS[motion]
        assert low <= min(found) < max(found) <= high
        assert max(found) - min(found) > 0.8 * (high - low)


def test_leaving_objects_end_outside_and_entering_ones_start_there() -> None:
    for motion, empty_idx, full_idx in (("leaving", -1, 0), ("entering", 0, -1)):
        for scene in _find_alone(motion):
            areas, _ = _areas_and_centres(scene.masks[0])
            assert areas[empty_idx] == 0
            assert areas[full_idx] > 100


def test_distractors_differ_in_motion_only() -> None:
    settings = dataclasses.replace(SceneSettings(), distractor_probability=1.0)
    for seed in range(5):
        objects = make_scene(seed, settings, [0]).objects
        assert len({(item.shape, item.colour) for item in objects}) == 1
        assert len({item.motion for item in objects}) > 1


def test_background_drifts_or_is_static() -> None:
    for is_still in (True, False):
        scene = make_scene(1, SceneSettings(has_moving_background=not is_still, max_noise=0.0))
        background = ~scene.masks.any(axis=(0, 1))
        first, last = scene.frames[0].astype(int), scene.frames[-1].astype(int)
        # a rim of two pixels round the masks is anti-aliased: compare the medians
        assert (np.median(np.abs(first - last)[background]) == 0) == is_still


def test_written_videos_are_byte_identical_to_earlier_ones(tmp_path: Path) -> None:
    """Published numbers, and tracks that users made, are those of these videos."""
    Maker(num_videos={"train": 2}, first_seed={"train": 7}, num_frames=4).write(tmp_path, "train")
    digest = hashlib.sha256()
    for path in sorted(p for p in tmp_path.rglob("*") if p.is_file() and p.suffix != ".jpg"):
        digest.update(path.read_bytes())
    assert digest.hexdigest() == DIGEST
    frames = [make_scene(seed, SceneSettings(), [0, 9]).frames for seed in range(3)]
    assert np.mean(frames, axis=(1, 2, 3, 4)) == pytest.approx(MEANS, abs=0.01)
