"""Sentences about relations mean the objects for which the relation holds in the drawn masks."""

import dataclasses
import re
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import pytest

from sola.datasets.moving_shapes.expressions import NOUNS, Sentence
from sola.datasets.moving_shapes.maker import MIN_VISIBLE_FRAMES, MIN_VISIBLE_SHARE, Maker
from sola.datasets.moving_shapes.relations import (
    ALIKE,
    BESIDE,
    EXTREMES,
    KINDS,
    ORDERS,
    SCENE_SETTINGS,
    SPEEDS,
    make_relation_sentences,
)
from sola.datasets.moving_shapes.scene import (
    COLOURS,
    DIRECTIONS,
    SHAPES,
    Scene,
    SceneObject,
    SceneSettings,
    make_scene,
    outline,
)
from sola.errors import UserError

SEEDS = range(6_000_100, 6_000_130)
NUM_FRAMES = 32
SETTINGS = SceneSettings(NUM_FRAMES, 128, 3, 8, **SCENE_SETTINGS)
MANY = 1000
"""More sentences than a scene has."""
NOUN = rf"(?:({'|'.join(COLOURS)}) )?({'|'.join([*SHAPES, *NOUNS])})(?:s|es)?"
ANY_NOUN = NOUN.replace("(?:(", "(?:(?:", 1).replace(")?(", ")?(?:", 1)
"""NOUN without groups."""


@cache
def _scene(seed: int) -> Scene:
    return make_scene(seed, SETTINGS)


def _visible(scene: Scene) -> list[bool]:
    shares = scene.masks.mean(axis=(2, 3))
    return [bool(v) for v in (shares > MIN_VISIBLE_SHARE).mean(axis=1) >= MIN_VISIBLE_FRAMES]


def _make(scene: Scene, seed: int = 0, visible: list[bool] | None = None) -> list[Sentence]:
    rng = np.random.default_rng(seed)
    return make_relation_sentences(scene, visible or _visible(scene), MANY, rng)


@cache
def _sentences() -> list[tuple[int, Sentence]]:
    return [(seed, sentence) for seed in SEEDS for sentence in _make(_scene(seed))]


def _of_kind(kind: str) -> Iterator[tuple[int, Sentence]]:
    found = [pair for pair in _sentences() if pair[1].kind == kind]
    assert len(found) > 20
    yield from found


def _fitting(noun: str, scene: Scene) -> list[int]:
    """Objects that fit a noun, such as "red squares" or "thing"."""
    match = re.fullmatch(NOUN, noun)
    assert match, noun
    colour, shape = match.groups()
    return [
        idx
        for idx, item in enumerate(scene.objects)
        if colour in (None, item.colour) and shape in (*NOUNS, item.shape)
    ]


def _parse(text: str, phrases: dict) -> tuple[object, str]:
    """Key of the phrase that a sentence is made of, and its noun; ("", "") if it is of none."""
    for key, options in phrases.items():
        for option in options:
            match = re.fullmatch(option.format(f"({ANY_NOUN})"), text)
            if match:
                return key, match[1]
    return "", ""


def _parse_pair(text: str, joints: dict) -> tuple[object, str, str]:
    """Key of the words that join two nouns, and these; ("", "", "") if there are none."""
    for key, words in joints.items():
        match = re.fullmatch(f"the ({ANY_NOUN}) (?:{'|'.join(words)}) the ({ANY_NOUN})", text)
        if match:
            return key, match[1], match[2]
    return "", "", ""


WAYS = {True: [f"that (?:{one}|{many}) {rest}" for one, many, rest in ALIKE]}


@cache
def _centres(seed: int) -> np.ndarray:
    """(G, T, 2) centres (x, y) in px of the visible masks, NaN where there is none."""
    masks = _scene(seed).masks
    found = np.full((*masks.shape[:2], 2), np.nan)
    for where in np.argwhere(masks.any(axis=(2, 3))):
        found[tuple(where)] = np.argwhere(masks[tuple(where)]).mean(axis=0)[::-1]
    return found


@cache
def _alone(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """(G, T, 2) centres in px of objects drawn without the others on a larger canvas, and (G, T):
    whether any of that lies in the picture."""
    objects = _scene(seed).objects
    centres, is_there = (
        np.zeros((len(objects), NUM_FRAMES, 2)),
        np.zeros((len(objects), NUM_FRAMES)),
    )
    for idx, item in enumerate(objects):
        for t in range(NUM_FRAMES):
            mask, corners = np.zeros((384, 384), np.uint8), outline(item, t / 31) + 128
            cv2.fillPoly(mask, [np.round(corners * 256).astype(np.int32)], 1, shift=8)
            centres[idx, t] = np.argwhere(mask).mean(axis=0)[::-1] - 128
            is_there[idx, t] = mask[128:-128, 128:-128].any()
    return centres, is_there > 0


def _events(seed: int, event: str) -> np.ndarray:
    """(G,) frame at which objects stop, start, enter or leave; NaN for those that do not."""
    centres, is_there = _alone(seed)
    moves = np.linalg.norm(np.diff(centres, axis=1), axis=-1) > 0.4
    found = np.full(len(centres), np.nan)
    for idx, (moving, there) in enumerate(zip(moves, is_there, strict=True)):
        if event == "enter" and not there[0] and there.any():
            found[idx] = there.argmax()
        if event == "leave" and not there[-1] and there.any():
            found[idx] = NUM_FRAMES - there[::-1].argmax()
        if event == "stop" and moving.any() and not moving[-1] and there[-1]:
            found[idx] = len(moving) - moving[::-1].argmax()
        if event == "start" and moving.any() and there[0]:
            found[idx] = moving.argmax()
    return found


def test_extreme_object_leads_on_the_masks() -> None:
    for seed, sentence in _of_kind("extreme"):
        side, noun = _parse(sentence.text, EXTREMES)
        members, (meant,) = _fitting(noun, _scene(seed)), sentence.object_indices
        assert len(members) > 1
        assert meant in members
        others = [idx for idx in members if idx != meant]
        if side in DIRECTIONS:
            along = _centres(seed) @ np.array(DIRECTIONS[side])
            leads = (
                along[meant] >= np.where(np.isnan(along[others]), -999, along[others]).max(0) + 7
            )
            assert leads.mean() >= 0.9, sentence
        else:
            areas = _scene(seed).masks.sum(axis=(2, 3)).max(axis=1)
            smaller = areas[others] if side == "big" else areas[meant]
            larger = areas[meant] if side == "big" else areas[others]
            assert (larger > 1.3 * smaller).all(), sentence


def test_object_beside_another_stays_there_and_others_do_not() -> None:
    for seed, sentence in _of_kind("beside"):
        scene = _scene(seed)
        side, noun, name = _parse_pair(sentence.text, BESIDE)
        (reference,) = _fitting(name, scene)
        members = set(_fitting(noun, scene)) - {reference}
        assert set(sentence.object_indices) < members
        for idx in members:
            offset = _centres(seed)[idx] - _centres(seed)[reference]
            offset = offset[~np.isnan(offset[:, 0])]
            assert len(offset) >= 0.4 * NUM_FRAMES
            along = offset @ np.array(DIRECTIONS[side])
            across = np.abs(offset @ np.array(DIRECTIONS[side])[::-1])
            if idx in sentence.object_indices:
                assert ((along > 11) & (along > 0.7 * across)).mean() >= 0.9, sentence
            else:
                assert (along <= 0).mean() >= 0.9, sentence
                assert along.max() < 5, sentence


def test_fastest_and_slowest_lead_by_a_factor() -> None:
    for seed, sentence in _of_kind("speed"):
        rank, noun = _parse(sentence.text, SPEEDS)
        centres, is_there = _alone(seed)
        steps = np.linalg.norm(np.diff(centres, axis=1), axis=-1)
        in_picture = is_there[:, 1:] & is_there[:, :-1]
        moving = np.where(in_picture & (steps > 0.4), steps, np.nan)
        speeds = np.array([np.nanmean(row) if (row > 0).any() else 0.0 for row in moving])
        members, (meant,) = _fitting(noun, _scene(seed)), sentence.object_indices
        movers = [idx for idx in members if speeds[idx] > 0.5]
        assert len(movers) > 1
        for idx in set(movers) - {meant}:
            fast, slow = (meant, idx) if rank == "fast" else (idx, meant)
            assert speeds[fast] > 1.35 * speeds[slow], sentence


def test_first_and_last_lead_in_time() -> None:
    for seed, sentence in _of_kind("order"):
        (event, rank), noun = _parse(sentence.text, ORDERS)
        members, (meant,) = _fitting(noun, _scene(seed)), sentence.object_indices
        times = _events(seed, event)
        rivals = [idx for idx in members if idx != meant and not np.isnan(times[idx])]
        assert meant in members
        assert rivals
        lead = (times[rivals] - times[meant]) * (1 if rank == "first" else -1)
        assert lead.min() >= 3, sentence
        if event in ("stop", "start"):
            seen = _scene(seed).masks[meant].sum(axis=(1, 2))
            assert seen[int(times[meant])] > 0.5 * seen.max(), sentence


def test_same_motion_means_the_others_that_go_in_the_direction() -> None:
    for seed, sentence in _of_kind("same_motion"):
        scene, (centres, _) = _scene(seed), _alone(seed)
        _, noun, name = _parse_pair(sentence.text, WAYS)
        (reference,) = _fitting(name, scene)
        ways = np.round((centres[:, -1] - centres[:, 0]) / 8)  # 0 if it stays
        ways = np.sign(ways)
        expected = {idx for idx in _fitting(noun, scene) if (ways[idx] == ways[reference]).all()}
        assert np.abs(ways[reference]).sum() == 1
        assert set(sentence.object_indices) == expected - {reference}, sentence
        if " like " in sentence.text:
            motions = {scene.objects[idx].motion for idx in (reference, *sentence.object_indices)}
            assert len(motions) == 1, sentence
        is_plural = len(sentence.object_indices) > 1
        assert bool(re.search(r" (move|go) ", sentence.text)) == is_plural


def test_all_but_means_the_rest() -> None:
    pattern = rf"(?:every|all the) ({ANY_NOUN}) (?:except|but|other than) the (.+)"
    for seed, sentence in _of_kind("all_but"):
        scene = _scene(seed)
        match = re.fullmatch(pattern, sentence.text)
        short = re.fullmatch(r"all (?:but|except) the (.+)", sentence.text)
        base, out = (match[1], match[2]) if match else ("thing", short[1] if short else "")
        members = set(_fitting(base, scene))
        excluded = members & set(_fitting(re.sub(r"ones?$", "thing", out), scene))
        assert set(sentence.object_indices) == members - excluded, sentence
        assert len(members - excluded) > 1
        assert excluded
        assert (out.endswith("s") and not out.endswith("cross")) == (len(excluded) > 1), sentence


def test_sentences_without_object_have_no_candidate() -> None:
    reasons: Counter[str] = Counter()
    for seed, sentence in _of_kind("none"):
        scene, text = _scene(seed), sentence.text
        assert sentence.object_indices == ()
        if noun := _parse(text, EXTREMES | SPEEDS)[1]:
            assert not _fitting(noun, scene), sentence
            reasons["no such noun"] += 1
        elif (found := _parse(text, ORDERS))[1]:
            times = _events(seed, found[0][0])
            assert np.isnan(times[_fitting(found[1], scene)]).all(), sentence
            reasons["no such event"] += 1
        elif (found := _parse_pair(text, BESIDE))[1]:
            has_reference = bool(_fitting(found[2], scene))
            reasons["none beside it" if has_reference else "no such reference"] += 1
            for reference in _fitting(found[2], scene):
                offsets = _centres(seed) - _centres(seed)[reference]
                along = offsets @ np.array(DIRECTIONS[found[0]])
                members = [idx for idx in _fitting(found[1], scene) if idx != reference]
                assert (np.nan_to_num(along[members], nan=-1) < 5).all(), sentence
        else:
            _, noun, name = _parse_pair(text, WAYS)
            (reference,) = _fitting(name, scene)
            others = [idx for idx in _fitting(noun, scene) if idx != reference]
            way = scene.objects[reference].direction
            assert way not in {scene.objects[idx].direction for idx in others}, sentence
            reasons["no such motion"] += 1
    assert len(reasons) == 5, reasons


def test_every_kind_occurs_and_kinds_alternate() -> None:
    scene = _scene(6_000_101)
    sentences = make_relation_sentences(scene, _visible(scene), 12, np.random.default_rng(0))
    available = {sentence.kind for sentence in _make(scene)}
    first_round = [kind for kind in KINDS if kind in available]
    assert [sentence.kind for sentence in sentences[: len(first_round)]] == first_round
    assert {sentence.kind for _, sentence in _sentences()} == set(KINDS)
    keys = {_parse(s.text, ORDERS)[0] for _, s in _sentences() if s.kind == "order"}
    assert {event for event, _ in keys} == {"stop", "start", "enter", "leave"}


def test_sentences_depend_on_scene_and_seed_only() -> None:
    scene = _scene(6_000_103)
    assert _make(scene, seed=1) == _make(scene, seed=1)
    assert _make(scene, seed=1) != _make(scene, seed=2)


def test_hardly_visible_object_is_neither_meant_nor_compared() -> None:
    for seed in SEEDS[:10]:
        scene = _scene(seed)
        hidden = len(scene.objects) - 1
        visible = [idx != hidden for idx in range(len(scene.objects))]
        for sentence in _make(scene, visible=visible):
            assert hidden not in sentence.object_indices
            # the words after "except" are about objects that the noun before it fits
            text = re.split(" except| but| other than", sentence.text)[0]
            for noun in re.findall(rf"\b{ANY_NOUN}\b", text):
                assert hidden not in _fitting(noun, scene), sentence
            assert not re.match("all (but|except)", sentence.text)


def _object(motion: str, direction: str, start: tuple[float, float], **values) -> SceneObject:
    found = SceneObject(
        shape="square",
        colour="red",
        motion=motion,
        direction=direction,
        radius_px=12,
        rgb=(0, 0, 0),
        start=start,
        travel_px=40,
        turn=0.5,
        angle=0,
        spin=0,
        growth=0,
    )
    return dataclasses.replace(found, **values)


def _draw(*objects: SceneObject) -> Scene:
    """A scene of given objects that do not cover each other."""
    masks = np.zeros((len(objects), NUM_FRAMES, 128, 128), np.uint8)
    for idx, item in enumerate(objects):
        for t in range(NUM_FRAMES):
            corners = np.round(outline(item, t / 31)).astype(np.int32)
            cv2.fillPoly(masks[idx, t], [corners], 1)
    return Scene(np.zeros((NUM_FRAMES, 128, 128, 3), np.uint8), masks > 0, objects)


def _texts(kind: str, *objects: SceneObject) -> str:
    sentences = [s for seed in range(5) for s in _make(_draw(*objects), seed=seed)]
    return " ; ".join(sentence.text for sentence in sentences if sentence.kind == kind)


@pytest.mark.parametrize(("top", "is_clear"), [(20, True), (63, False)])
def test_close_places_are_not_compared(top: float, is_clear: bool) -> None:
    texts = _texts(
        "extreme",
        _object("still", "", (30, 66)),
        _object("still", "", (90, top), radius_px=12.5),
    )
    assert ("highest" in texts) == is_clear
    assert "leftmost" in texts
    assert "biggest" not in texts


@pytest.mark.parametrize(("travel", "is_clear"), [(25, True), (34, False)])
def test_similar_speeds_are_not_compared(travel: float, is_clear: bool) -> None:
    texts = _texts(
        "speed",
        _object("right", "right", (30, 30)),
        _object("right", "right", (30, 90), travel_px=travel),
    )
    assert bool(texts) == is_clear


@pytest.mark.parametrize(("turn", "is_clear"), [(0.7, True), (0.55, False)])
def test_similar_times_are_not_compared(turn: float, is_clear: bool) -> None:
    texts = _texts(
        "order",
        _object("stopping", "right", (30, 30), stage=(0, 0.5)),
        _object("stopping", "right", (30, 90), stage=(0, turn)),
    )
    assert ("first" in texts) == ("last" in texts) == is_clear


def test_object_that_moves_from_the_beginning_never_starts_first() -> None:
    texts = _texts(
        "order",
        _object("right", "right", (30, 30)),
        _object("starting_late", "right", (30, 90), stage=(0.5, 1)),
    )
    assert "last" in texts
    assert "first" not in texts


def test_maker_writes_relations_once_and_refuses_other_sentences(tmp_path: Path) -> None:
    counts = {"num_videos": {"train": 1}, "first_seed": {"train": 3}, "num_frames": 8}
    maker = Maker(**counts, sentences="relations", rewordings={"train": {"known": 2}})
    assert maker.write(tmp_path, "train")
    assert not maker.write(tmp_path, "train")
    assert "known" not in (tmp_path / "train" / "meta_expressions.json").read_text()
    with pytest.raises(UserError, match=r"sentences=relations.*descriptions"):
        dataclasses.replace(maker, sentences="descriptions").write(tmp_path, "train")
    with pytest.raises(UserError, match=r"sentences.*relation'"):
        Maker(**counts, sentences="relation")


def test_relations_are_not_reworded() -> None:
    maker = Maker({}, {}, num_frames=NUM_FRAMES, sentences="relations")
    scene = _scene(6_000_101)
    assert maker._expressions(scene, 0, 1, {"known": 8}) == maker._expressions(scene, 0, 1, {})
