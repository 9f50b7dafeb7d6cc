"""Make sentences about the objects of a scene, each with the objects that it refers to.

A description names any of colour, shape and motion, and refers to every object that has them all.
Ambiguous descriptions are dropped: those that an object meets only loosely ("moving left" for one
that leaves to the left), and those that an object meets that is hardly ever visible.
"""

from collections.abc import Sequence
from itertools import product
from typing import NamedTuple

from sola.datasets.moving_shapes import scene
from sola.datasets.moving_shapes.wording import Description, to_plural

Objects = Sequence[scene.SceneObject]
Flags = Sequence[bool]
KINDS = ("appearance", "motion", "both", "several", "none")
WORDS = {"colour": (*scene.COLOURS,), "shape": scene.SHAPES, "motion": scene.MOTIONS}
NOUNS = ("object", "shape", "thing")
PHRASES: dict[str, tuple[str, ...]] = {
    "left": ("moving left", "moving to the left", "going left", "that drifts to the left"),
    "right": ("moving right", "moving to the right", "going right", "that drifts to the right"),
    "up": ("moving up", "going up", "that rises", "moving upwards"),
    "down": ("moving down", "going down", "that sinks", "moving downwards"),
    "still": ("standing still", "that stays in its place", "not moving at all"),
    "growing": ("growing", "getting bigger", "that becomes larger"),
    "shrinking": ("shrinking", "getting smaller", "that becomes smaller"),
    "rotating": ("turning round", "rotating in place", "that spins"),
    "reversing": ("that turns back halfway", "going out and coming back", "moving back and forth"),
    "starting_late": ("that starts to move late", "that waits before it moves", "starting late"),
    "leaving": ("leaving the picture", "that goes out of view", "disappearing over the edge"),
    "entering": ("coming into the picture", "that comes into view", "entering from outside"),
}


class Sentence(NamedTuple):
    """A sentence and the objects that it refers to."""

    text: str
    object_indices: tuple[int, ...]
    """Indices of objects of the scene, () for none."""
    kind: str
    """One of KINDS: how the sentence identifies its one object, or several, or none. One of
    relations.KINDS for a sentence about relations."""
    descriptions: tuple[Description, ...]
    """What the sentence says: one description, or two that are joined by "and". () for a sentence
    about relations, which is not reworded."""


def make_sentences(
    objects: Objects, is_visible: Flags, count: int, rng: scene.Rng
) -> list[Sentence]:
    """Return up to ``count`` different sentences, alternating between kinds.

    Args:
        objects: objects of the scene.
        is_visible: whether each object is visible often enough for a sentence to refer to it.
        count: largest number of sentences.
        rng: chooses descriptions and words.
    """
    candidates = _candidates(objects, is_visible, rng)
    return take_in_turn(candidates, count)


def take_in_turn(candidates: dict[str, list[Sentence]], count: int) -> list[Sentence]:
    """Take up to ``count`` different sentences from the ends of the lists, one kind after another.

    Args:
        candidates: sentences by kind; taken ones are removed.
        count: largest number of sentences.
    """
    sentences: dict[str, Sentence] = {}
    while len(sentences) < count and any(candidates.values()):
        for kind in candidates:
            if candidates[kind] and len(sentences) < count:
                sentence = candidates[kind].pop()
                sentences.setdefault(sentence.text, sentence)
    return list(sentences.values())


def _candidates(objects: Objects, is_visible: Flags, rng: scene.Rng) -> dict[str, list[Sentence]]:
    """Return all unambiguous sentences of the scene by kind, shuffled.

    Sentences of kind "none" are limited to a third of those of kind "both", but at least 2.
    """
    found: dict[str, list[Sentence]] = {kind: [] for kind in KINDS}
    for description in _descriptions(objects):
        meant = _meant(description, objects, is_visible)
        if meant is None:
            continue
        kind = "none" if not meant else "several"
        if len(meant) == 1:
            looks = description.colour or description.shape
            kind = "appearance" if not description.motion else "both" if looks else "motion"
        text = _phrase(description, rng, is_plural=len(meant) > 1)
        found[kind].append(Sentence(text, meant, kind, (description,)))
    found["several"] += _pairs(found["appearance"] + found["both"], rng)
    for sentences in found.values():
        rng.shuffle(sentences)
    found["none"] = found["none"][: max(2, len(found["both"]) // 3)]
    return found


def _descriptions(objects: Objects) -> list[Description]:
    """Return descriptions of the objects, also with one word changed; most of these fit none."""
    true = {
        Description(*words)
        for item in objects
        for words in product(("", item.colour), ("", item.shape), ("", item.motion))
        if any(words)
    }
    changed = {
        description._replace(**{word: other})
        for description in true
        if description.colour or description.motion
        for word, others in WORDS.items()
        if getattr(description, word)
        for other in others
    }
    return sorted(true | changed, key=str)


def _meant(description: Description, objects: Objects, is_visible: Flags) -> tuple[int, ...] | None:
    """Return the objects that a description refers to; None if it is ambiguous."""
    meant = []
    for idx, item in enumerate(objects):
        if {description.colour, description.shape} - {"", item.colour, item.shape}:
            continue
        is_met = description.motion in ("", item.motion)
        if not is_visible[idx] if is_met else _could_be_said(description.motion, item):
            return None
        meant += [idx] if is_met else []
    return tuple(meant)


ARGUABLE = {
    "still": ("rotating", "growing", "shrinking", "starting_late"),
    "growing": ("entering",),
    "shrinking": ("leaving",),
}
"""Motion -> other motions that the same words could describe."""


def _could_be_said(motion: str, item: scene.SceneObject) -> bool:
    """Return whether a motion could also describe an object that has another one."""
    if item.motion in scene.PLAIN_MOTIONS or motion not in scene.DIRECTIONS:
        return item.motion in ARGUABLE.get(motion, ())
    along = zip(scene.DIRECTIONS[motion], scene.DIRECTIONS[item.direction], strict=True)
    return any(one * other for one, other in along)


def _phrase(description: Description, rng: scene.Rng, *, is_plural: bool) -> str:
    noun = description.shape or str(rng.choice(NOUNS))
    words = [description.colour, to_plural(noun) if is_plural else noun]
    article = ("the", "all", "all the") if is_plural else ("the", "the", "a")
    text = " ".join([str(rng.choice(article)), *filter(None, words)])
    if description.motion:
        phrase = str(rng.choice(PHRASES[description.motion]))
        text = f"{text} {_to_plural(phrase) if is_plural else phrase}"
    elif description.colour and not is_plural and rng.random() < 0.25:
        text = f"the {noun} that is {description.colour}"
    return text.replace("a o", "an o", 1) if text.startswith("a o") else text


def _to_plural(phrase: str) -> str:
    """Turn "that drifts to the left" into "that drift to the left"; participles stay."""
    if not phrase.startswith("that "):
        return phrase
    _, verb, *rest = phrase.split()
    plural = " ".join(["that", "go" if verb == "goes" else verb[:-1], *rest])
    return plural.replace("it moves", "they move").replace("its place", "their places")


def _pairs(sentences: Sequence[Sentence], rng: scene.Rng) -> list[Sentence]:
    """Join sentences about two objects, as in "the red star and the shape going left"."""
    pairs = []
    for _ in range(min(6, len(sentences))):
        first, second = (sentences[int(rng.integers(len(sentences)))] for _ in range(2))
        meant = tuple(sorted({*first.object_indices, *second.object_indices}))
        if len(meant) == 2:
            text, said = f"{first.text} and {second.text}", first.descriptions + second.descriptions
            pairs.append(Sentence(text, meant, "several", said))
    return pairs
