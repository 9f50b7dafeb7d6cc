"""Sentences in other words mean the same, and the words held out occur in no training sentence."""

import re
from itertools import chain

import numpy as np
import pytest

from sola.datasets.moving_shapes.expressions import NOUNS, PHRASES, make_sentences
from sola.datasets.moving_shapes.maker import Maker
from sola.datasets.moving_shapes.scene import COLOURS, MOTIONS, SHAPES, SceneSettings, make_scene
from sola.datasets.moving_shapes.wording import (
    FRAMES,
    KNOWN,
    NEW_FRAMES,
    SYNONYMS,
    UNSEEN,
    UNSEEN_FRAMES,
    UNSEEN_WORDS,
    WITH_MOTION,
    WORDINGS,
    Description,
    reword,
)
from sola.errors import UserError

FUNCTION_WORDS = {"in", "the", "to", "at", "its", "it"}


def _words(phrases: tuple[str, ...]) -> set[str]:
    return {word for phrase in phrases for word in re.findall(r"\w+", phrase)} - FUNCTION_WORDS


def test_every_concept_can_be_said_in_at_least_eight_ways() -> None:
    concepts = {*COLOURS, *SHAPES, *MOTIONS, "noun"}
    assert concepts == set(SYNONYMS) == set(UNSEEN)
    for words in SYNONYMS.values():
        assert len(set(words)) >= 8
    assert len(FRAMES) * len(WITH_MOTION) >= 12


def test_no_training_sentence_contains_an_unseen_word() -> None:
    known = _words((*chain(*SYNONYMS.values(), *PHRASES.values()), *NOUNS, *FRAMES, *WITH_MOTION))
    assert not known & _words((*chain(*UNSEEN.values()),))


def test_every_description_is_reworded_with_words_of_its_own_concepts() -> None:
    rng = np.random.default_rng(0)
    said = Description("cyan", "cross", "reversing")
    for wording in WORDINGS:
        table = UNSEEN if wording == UNSEEN_WORDS else SYNONYMS
        for _ in range(50):
            text = reword([said], rng, wording, is_plural=False)
            assert all(any(word in text for word in table[concept]) for concept in said), text
            is_new = any(text.startswith(frame[:-2]) for frame in UNSEEN_FRAMES)
            assert is_new == (wording == NEW_FRAMES), text


def test_several_objects_are_plural() -> None:
    rng = np.random.default_rng(0)
    texts = [
        reword([Description(motion="reversing")], rng, KNOWN, is_plural=True) for _ in range(200)
    ]
    joined = " ".join(texts)
    assert "entities" in joined
    assert "that are" in joined
    assert not re.search(r"\b(that is|which is|it is (?!all|the)|its)\b", joined)


def test_paraphrases_keep_objects_and_kind() -> None:
    maker = Maker({"train": 1}, {"train": 0}, rewordings={"train": {KNOWN: 2, UNSEEN_WORDS: 1}})
    scene = make_scene(0, SceneSettings())
    plain = maker._expressions(scene, 0, 0, {})
    entries = maker._expressions(scene, 0, 0, maker.rewordings["train"])
    assert list(entries.values())[: len(plain)] == list(plain.values())
    meanings = {(e["kind"], tuple(e["obj_id"])) for e in plain.values()}
    others = list(entries.values())[len(plain) :]
    assert len(others) > 2 * len(plain)
    assert {(e["kind"].partition(",")[0], tuple(e["obj_id"])) for e in others} == meanings
    unseen = [e["exp"] for e in others if e["kind"].endswith(UNSEEN_WORDS)]
    assert len(unseen) >= len(plain) - 2
    sentences = make_sentences(scene.objects, [True] * 9, 12, np.random.default_rng(0))
    assert all(1 <= len(sentence.descriptions) <= 2 for sentence in sentences)


@pytest.mark.parametrize(
    "rewordings", [{"valid": {KNOWN: 1}}, {"train": {"rhymes": 1}}, {"train": {KNOWN: -1}}]
)
def test_impossible_rewordings_are_refused(rewordings: dict[str, dict[str, int]]) -> None:
    with pytest.raises(UserError, match="rewordings"):
        Maker({"train": 1}, {"train": 0}, rewordings=rewordings)
