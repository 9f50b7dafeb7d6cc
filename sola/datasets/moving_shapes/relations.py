"""Make sentences about relations between objects, and about the order of what they do.

Each sentence refers to the objects for which its relation clearly holds. Sentences that a person
could dispute are dropped: those whose relation holds by less than a margin or on too few frames,
and those whose words fit an object that is hardly visible.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

from sola.datasets.moving_shapes import scene
from sola.datasets.moving_shapes.expressions import (
    NOUNS,
    Flags,
    Objects,
    Sentence,
    take_in_turn,
)
from sola.datasets.moving_shapes.measures import SIDES, Measures, find_leader, measure
from sola.datasets.moving_shapes.wording import Description, to_plural

KINDS = ("extreme", "beside", "speed", "order", "same_motion", "all_but", "none")
SCENE_SETTINGS: dict[str, Any] = {
    "motions": (
        *scene.DIRECTIONS,
        *["still", "leaving", "entering"] * 3,
        *["starting_late"] * 2,
        *[scene.STOPPING] * 10,
    ),
    "distractor_probability": 0.2,
    "num_looks": (3, 4),
    "radius_px": (9, 19),
    "travel_px": (25, 80),
    "has_varied_turns": True,
}
"""Settings of scenes for these sentences; a motion named twice is twice as frequent."""
MARGINS = {"big": 0.18, "small": 0.18, "fast": 0.34, "slow": 0.34} | dict.fromkeys(SIDES, 0.06)
"""Smallest lead: of places as a share of the frame, of sizes (x 1.2) and speeds (x 1.4) as logs."""
TIME_MARGIN = 0.125
"""Smallest lead of the first or last in time, as a share of the clip."""
MAX_NONE = 2
"""Largest number of sentences per scene that refer to no object."""
EXTREMES: dict[str, tuple[str, ...]] = {
    "left": ("the leftmost {}", "the {} farthest to the left", "the {} nearest to the left edge"),
    "right": ("the rightmost {}", "the {} farthest to the right", "the {} nearest the right edge"),
    "up": ("the highest {}", "the {} farthest up", "the {} nearest to the top"),
    "down": ("the lowest {}", "the {} farthest down", "the {} nearest to the bottom"),
    "big": ("the biggest {}", "the largest {}", "the {} of the largest size"),
    "small": ("the smallest {}", "the tiniest {}", "the {} of the smallest size"),
}
SPEEDS: dict[str, tuple[str, ...]] = {
    "fast": ("the fastest {}", "the {} that moves fastest", "the quickest {}"),
    "slow": ("the slowest moving {}", "the moving {} that is slowest"),
}
BESIDE: dict[str, tuple[str, ...]] = {
    "left": ("left of", "to the left of", "on the left of"),
    "right": ("right of", "to the right of", "on the right of"),
    "up": ("above", "higher up than", "farther up than"),
    "down": ("below", "lower down than", "farther down than"),
}
ORDERS: dict[tuple[str, str], tuple[str, ...]] = {
    ("stop", "first"): ("the {} that stops first", "the first {} to stop", "the first {} to halt"),
    ("stop", "last"): ("the {} that stops last", "the last {} to stop", "the last {} to halt"),
    ("start", "first"): ("the {} that starts to move first", "the first {} to start moving"),
    ("start", "last"): ("the {} that starts to move last", "the last {} to start moving"),
    ("enter", "first"): ("the first {} to enter", "the {} that comes into the picture first"),
    ("enter", "last"): ("the last {} to enter", "the {} that comes into the picture last"),
    ("leave", "first"): ("the first {} to leave", "the {} that leaves the picture first"),
    ("leave", "last"): ("the last {} to leave", "the {} that leaves the picture last"),
}
SAME_WAY = (("moves", "move", "in the same direction as"), ("goes", "go", "the same way as"))
"""Singular, plural and rest, for objects that move in one direction, whenever they do."""
ALIKE = (*SAME_WAY, ("moves", "move", "like"), ("moves", "move", "just like"))
"""For objects that move in one direction over the whole clip."""

Found = Iterator[tuple[str, tuple[int, ...]]]
"""Sentences with the objects that they refer to."""


def make_relation_sentences(
    drawn: scene.Scene, is_visible: Flags, count: int, rng: scene.Rng
) -> list[Sentence]:
    """Return up to ``count`` different sentences, alternating between KINDS.

    Args:
        drawn: scene with all its frames.
        is_visible: whether each object is visible often enough for a sentence to be about it.
        count: largest number of sentences.
        rng: chooses relations and words.

    Returns:
        Sentences without descriptions.
    """
    candidates = _candidates(_Finder(drawn.objects, is_visible, measure(drawn), rng))
    return take_in_turn(candidates, count)


def _candidates(finder: "_Finder") -> dict[str, list[Sentence]]:
    """Return all sentences of the scene by kind, shuffled, and MAX_NONE of kind "none"."""
    sources = {
        "extreme": finder.find_leaders(EXTREMES),
        "beside": finder.find_beside(),
        "speed": finder.find_leaders(SPEEDS),
        "order": finder.find_in_order(),
        "same_motion": finder.find_same_motion(),
        "all_but": finder.find_all_but(),
    }
    found: dict[str, list[Sentence]] = {kind: [] for kind in KINDS}
    for source, pairs in sources.items():
        none: list[Sentence] = []
        for text, meant in pairs:
            kind = source if meant else "none"
            (found[kind] if meant else none).append(Sentence(text, meant, kind, ()))
        finder.rng.shuffle(none)
        found["none"] += none[:1]
    for sentences in found.values():
        finder.rng.shuffle(sentences)
    found["none"] = found["none"][:MAX_NONE]
    return found


@dataclass(frozen=True)
class _Finder:
    """Find sentences that clearly hold in a scene, or that clearly fit no object."""

    objects: Objects
    is_visible: Flags
    measures: Measures
    rng: scene.Rng

    def find_leaders(self, phrases: Mapping[str, Sequence[str]]) -> Found:
        """Yield sentences about the object that has most of something."""
        for amount, (said, members) in product(phrases, self._nouns().items()):
            leader = find_leader(self.measures.amounts[amount], members, MARGINS[amount])
            if leader is not None:
                yield self._choose(phrases[amount]).format(self._name(said)), (leader,)
        for amount, said in product(phrases, self._absent()):
            yield self._choose(phrases[amount]).format(self._name(said)), ()

    def find_in_order(self) -> Found:
        """Yield sentences about the first or last object to stop, start, enter or leave."""
        for (event, rank), (said, found) in product(ORDERS, self._nouns().items()):
            members, times = list(found), self.measures.times[event]
            if self.measures.is_unclear[event][members].any():
                continue
            leader = find_leader(-times if rank == "first" else times, members, TIME_MARGIN)
            if leader is not None and times[leader].all():  # time 0: it moves from the beginning
                yield self._choose(ORDERS[event, rank]).format(self._name(said)), (leader,)
            if event != "start" and np.isnan(times[members]).all():
                yield self._choose(ORDERS[event, rank]).format(self._name(said)), ()

    def find_beside(self) -> Found:
        """Yield sentences about the objects on one side of another."""
        nouns, references, absent = self._nouns(), self._references(), self._absent()
        for side, said, reference in product(SIDES, nouns, references):
            members = [idx for idx in nouns[said] if idx != reference]
            is_on = self.measures.is_beside[side][members, reference]
            if not (is_on < 0).any() and not is_on.all():
                meant = tuple(idx for idx, on in zip(members, is_on, strict=True) if on)
                head = self._name(said, is_plural=len(meant) > 1)
                yield f"the {head} {self._choose(BESIDE[side])} {references[reference]}", meant
        for side in SIDES if nouns and absent else ():
            head, name = self._name(self._choose([*nouns])), self._name(self._choose(absent))
            yield f"the {head} {self._choose(BESIDE[side])} the {name}", ()

    def find_same_motion(self) -> Found:
        """Yield sentences about the other objects that move in the direction of one of them."""
        nouns, references = self._nouns(), self._references()
        for said, reference in product(nouns, references):
            model = self.objects[reference]
            others = {idx: self.objects[idx] for idx in nouns[said] if idx != reference}
            same = {idx: o for idx, o in others.items() if o.direction == model.direction}
            motions = {other.motion for other in (model, *others.values())}
            if not model.direction or "reversing" in motions or len(same) == len(others):
                continue
            is_alike = {model.motion, *(o.motion for o in same.values())} == {model.direction}
            one, many, rest = self._choose(ALIKE if is_alike else SAME_WAY)
            head, verb = self._name(said, is_plural=len(same) > 1), many if len(same) > 1 else one
            yield f"the {head} that {verb} {rest} {references[reference]}", tuple(same)

    def find_all_but(self) -> Found:
        """Yield sentences about all objects that a noun fits, except those of a colour or shape."""
        for said, members in self._nouns().items():
            shapes = {self.objects[idx].shape for idx in members if not said.shape}
            colours = {self.objects[idx].colour for idx in members if not said.colour}
            outs = [
                *map(Description, sorted(colours)),
                *(Description("", s) for s in sorted(shapes)),
            ]
            for out in outs:
                meant = tuple(idx for idx in members if not _fits(out, self.objects[idx]))
                if len(meant) < 2:
                    continue
                is_plural = len(members) - len(meant) > 1
                tail = f"{out.colour} {'ones' if is_plural else 'one'}"
                if out.shape:
                    tail = self._name(out, is_plural=is_plural)
                many = self._name(said, is_plural=True)
                heads = [f"every {self._name(said)} except", f"all the {many} but"]
                heads += [f"all the {many} other than"]
                heads += [] if any(said) else ["all but", "all except"]
                yield f"{self._choose(heads)} the {tail}", meant

    def _nouns(self) -> dict[Description, tuple[int, ...]]:
        """Return one description for each group of visible objects that some description fits.

        Returns:
            Description -> indices of the objects.
        """
        nouns = {
            Description(*words)
            for item in self.objects
            for words in product(("", item.colour), ("", item.shape))
        }
        groups: dict[tuple[int, ...], list[Description]] = {}
        for said in sorted(nouns):
            groups.setdefault(self._members(said), []).append(said)
        return {
            self._choose(groups[members]): members
            for members in sorted(groups)
            if all(self.is_visible[idx] for idx in members)
        }

    def _members(self, said: Description) -> tuple[int, ...]:
        return tuple(idx for idx, item in enumerate(self.objects) if _fits(said, item))

    def _references(self) -> dict[int, str]:
        """Return a name for each visible object that a colour, a shape or both identify."""
        groups = self._nouns().items()
        return {found[0]: f"the {self._name(said)}" for said, found in groups if len(found) == 1}

    def _absent(self) -> list[Description]:
        """Return pairs of a colour and a shape of the scene that no object has together."""
        colours = sorted({item.colour for item in self.objects})
        shapes = sorted({item.shape for item in self.objects})
        pairs = [Description(*words) for words in product(colours, shapes)]
        return [said for said in pairs if not self._members(said)]

    def _name(self, said: Description, *, is_plural: bool = False) -> str:
        noun = said.shape or self._choose(NOUNS)
        return f"{said.colour} {to_plural(noun) if is_plural else noun}".strip()

    def _choose(self, options: Sequence[Any]) -> Any:
        return options[int(self.rng.integers(len(options)))]


def _fits(said: Description, item: scene.SceneObject) -> bool:
    return said.colour in ("", item.colour) and said.shape in ("", item.shape)
