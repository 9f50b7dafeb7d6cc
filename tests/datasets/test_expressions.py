"""Sentences mean exactly the objects they describe."""

import re
from collections.abc import Iterable

import numpy as np
import pytest

from sola.datasets.moving_shapes.expressions import KINDS, PHRASES, Sentence, make_sentences
from sola.datasets.moving_shapes.maker import Maker
from sola.datasets.moving_shapes.scene import (
    COLOURS,
    SHAPES,
    SceneObject,
    SceneSettings,
    make_scene,
)


def _object(colour: str, shape: str, motion: str, direction: str = "") -> SceneObject:
    return SceneObject(
        shape=shape,
        colour=colour,
        motion=motion,
        direction=direction,
        radius_px=15,
        rgb=(0, 0, 0),
        start=(0, 0),
        travel_px=30,
        turn=0.5,
        angle=0,
        spin=0,
        growth=0,
    )


def _sentences(
    objects: list[SceneObject], visible: list[bool] | None = None, seed: int = 0
) -> list[Sentence]:
    visible = visible or [True] * len(objects)
    return make_sentences(objects, visible, 1000, np.random.default_rng(seed))


def _named(text: str, words: Iterable[str]) -> set[str]:
    """The words that occur in the text, in singular or plural."""
    return {word for word in words if re.search(rf"\b{word}(s|es)?\b", text)}


def _is_joined(text: str) -> bool:
    """Whether two descriptions make up the sentence; each of them is also there by itself."""
    return any(f" and {article} " in text for article in ("a", "an", "the"))


@pytest.mark.parametrize("seed", range(20))
def test_sentence_refers_to_the_objects_that_it_describes(seed: int) -> None:
    objects = make_scene(seed, SceneSettings(), [0]).objects
    for sentence in _sentences(list(objects)):
        if _is_joined(sentence.text):
            continue
        said = _named(sentence.text, COLOURS), _named(sentence.text, SHAPES)
        meant = {
            idx
            for idx, item in enumerate(objects)
            if said[0] <= {item.colour} and said[1] <= {item.shape}
        }
        assert set(sentence.object_indices) <= meant, sentence
        if sentence.kind == "appearance":
            assert meant == set(sentence.object_indices), sentence


def test_every_kind_of_sentence_occurs_and_is_correct() -> None:
    objects = [_object("red", "star", "left", "left"), _object("red", "cross", "up", "up")]
    sentences = _sentences(objects)
    assert {sentence.kind for sentence in sentences} == set(KINDS)
    for sentence in sentences:
        count = len(sentence.object_indices)
        assert count == {"none": 0, "several": 2}.get(sentence.kind, 1), sentence
    texts = {sentence.text for sentence in sentences}
    assert len(texts) == len(sentences)


def test_motion_distinguishes_objects_of_equal_appearance() -> None:
    objects = [_object("blue", "circle", "left", "left"), _object("blue", "circle", "growing")]
    sentences = _sentences(objects)
    assert not [sentence for sentence in sentences if sentence.kind == "appearance"]
    both = [sentence for sentence in sentences if sentence.kind == "both"]
    assert {sentence.object_indices for sentence in both} == {(0,), (1,)}


def test_ambiguous_sentences_are_left_out() -> None:
    objects = [_object("red", "star", "left", "left"), _object("blue", "cross", "leaving", "left")]
    for sentence in _sentences(objects):
        is_about_left = any(phrase in sentence.text for phrase in PHRASES["left"])
        if is_about_left and not _is_joined(sentence.text):
            assert "red" in sentence.text or "star" in sentence.text or not sentence.object_indices
            assert "blue" not in sentence.text
            assert "cross" not in sentence.text


MOTION_WORDS = {
    "left": "left",
    "right": "right",
    "rises": "up",
    "rise": "up",
    "sinks": "down",
    "sink": "down",
    "place": "still",
    "places": "still",
    "bigger": "growing",
    "smaller": "shrinking",
    "spins": "rotating",
    "spin": "rotating",
    "back": "reversing",
    "late": "starting_late",
    "leaving": "leaving",
    "entering": "entering",
}
"""Words that say a motion, and the motion; "rotating in place" is the one exception."""


@pytest.mark.parametrize("seed", range(10))
def test_motion_phrases_match_their_motion(seed: int) -> None:
    objects = list(make_scene(seed, SceneSettings(), [0]).objects)
    for sentence in _sentences(objects):
        words = re.findall(r"\w+", sentence.text)
        if _is_joined(sentence.text) or "rotating" in words:
            continue
        said = {MOTION_WORDS[word] for word in words if word in MOTION_WORDS}
        for idx in sentence.object_indices:
            assert said <= {objects[idx].motion}, sentence


@pytest.mark.parametrize("seed", range(10))
def test_joined_sentence_refers_to_the_objects_of_both_halves(seed: int) -> None:
    objects = list(make_scene(seed, SceneSettings(), [0]).objects)
    sentences = _sentences(objects)
    meanings = {sentence.text: sentence.object_indices for sentence in sentences}
    joined = [sentence for sentence in sentences if _is_joined(sentence.text)]
    for sentence in joined:
        first, article, second = re.split(r" and (a|an|the) ", sentence.text, maxsplit=1)
        halves = {*meanings[first], *meanings[f"{article} {second}"]}
        assert set(sentence.object_indices) == halves, sentence


@pytest.mark.parametrize(
    ("said", "real"),
    [
        ("still", "rotating"),
        ("still", "growing"),
        ("still", "shrinking"),
        ("still", "starting_late"),
        ("growing", "entering"),
        ("shrinking", "leaving"),
    ],
)
def test_ambiguous_motions_give_no_sentence(said: str, real: str) -> None:
    objects = [_object("red", "star", said), _object("red", "star", real, "left")]
    texts = " ; ".join(item.text for item in _sentences(objects) if item.object_indices)
    assert not [phrase for phrase in PHRASES[said] if phrase in texts]


def test_maker_refers_to_no_hardly_visible_object() -> None:
    maker = Maker({}, {}, expressions_per_video=1000)
    scene = make_scene(1, SceneSettings())
    scene.masks[2, 6:] = False  # now it is visible on 6 of 16 frames, below 40 %
    named = {
        object_idx
        for entry in maker._expressions(scene, 0, 1, {}).values()
        for object_idx in entry["anno_id"]
    }
    assert named == set(range(len(scene.objects))) - {2}


def test_hardly_visible_object_is_neither_referred_to_nor_denied() -> None:
    objects = [_object("red", "star", "left", "left"), _object("blue", "cross", "up", "up")]
    for sentence in _sentences(objects, [True, False]):
        assert 1 not in sentence.object_indices
        assert sentence.text not in ("the blue cross", "a blue cross", "the cross")


def test_kinds_of_sentences_alternate() -> None:
    objects = list(make_scene(1, SceneSettings(), [0]).objects)
    sentences = make_sentences(objects, [True] * len(objects), 5, np.random.default_rng(0))
    assert [sentence.kind for sentence in sentences] == list(KINDS)


def test_sentences_are_grammatical() -> None:
    objects = [_object("orange", "cross", "still"), _object("blue", "cross", "still")]
    texts = [text for seed in range(9) for text in (s.text for s in _sentences(objects, seed=seed))]
    assert not [text for text in texts if text.startswith("a o")]
    assert any(text.startswith("an o") for text in texts)
    assert any("crosses" in text for text in texts)
    assert not [text for text in texts if "crosss" in text or "crosses that stays" in text]
