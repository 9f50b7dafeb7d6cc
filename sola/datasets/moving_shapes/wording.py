"""Say the same in other words: synonyms and sentence frames of moving_shapes.

``WORDS`` and the first frames are for training. ``UNSEEN_WORDS`` and the new frames occur in split
paraphrase only. The unseen words, two for each concept, were drawn at random before any training
from all single words, except words whose first three letters another word of the concept has.
"""

from collections.abc import Sequence
from typing import NamedTuple

from sola.datasets.moving_shapes.scene import Rng

KNOWN, NEW_FRAMES, UNSEEN_WORDS = "known", "new_frames", "unseen_words"
WORDINGS = (KNOWN, NEW_FRAMES, UNSEEN_WORDS)
"""Words and frames of training; its words in new frames; unseen words in its frames."""


def _split(phrases: dict[str, str]) -> dict[str, tuple[str, ...]]:
    return {concept: tuple(words.split(", ")) for concept, words in phrases.items()}


SYNONYMS = _split(
    {
        "red": (
            "red, crimson, scarlet, ruby, vermilion, carmine, tomato-red, cardinal, "
            "reddish, blood-red, brick-red, rose-red"
        ),
        "green": (
            "green, jade, olive, lime, mossy, grassy, leafy, shamrock, greenish, "
            "forest-green, pine, malachite"
        ),
        "blue": (
            "blue, navy, cobalt, sapphire, indigo, ultramarine, denim, cerulean, "
            "royal-blue, bluish, midnight-blue, azure"
        ),
        "yellow": (
            "yellow, golden, lemon, canary, mustard, buttery, straw-yellow, yellowish, "
            "sunny, custard, dandelion, sunflower"
        ),
        "purple": (
            "purple, violet, lilac, lavender, plum, mauve, aubergine, purplish, orchid, "
            "magenta, mulberry, eggplant"
        ),
        "orange": (
            "orange, tangerine, carrot, pumpkin, amber, mandarin, orange-coloured, ginger, "
            "clementine, persimmon, orangey, rusty"
        ),
        "cyan": (
            "cyan, teal, blue-green, cyan-coloured, greenish-blue, ice-blue, light-blue, "
            "pale-blue, tropical-blue, sky-blue, robin-blue"
        ),
        "white": (
            "white, snowy, ivory, pearly, chalky, whitish, porcelain, frosty, snow-white, "
            "bleached, pale, creamy"
        ),
        "circle": "circle, disc, dot, ring, round shape, round form, coin, orb, roundel, bubble",
        "square": (
            "square, box, block, tile, cube, square shape, four-sided shape, rectangle, "
            "brick, four-cornered form"
        ),
        "triangle": (
            "triangle, pyramid, wedge, arrowhead, three-sided shape, three-cornered shape, "
            "triangular form, cone, spearhead, trigon"
        ),
        "star": (
            "star, starfish, asterisk, star shape, five-pointed shape, starburst, star-like "
            "form, twinkle, spiky form, snowflake"
        ),
        "cross": (
            "cross, plus, plus sign, cross shape, crosshair, four-armed form, plus shape, "
            "addition sign, crossroads"
        ),
        "hexagon": (
            "hexagon, six-sided shape, six-cornered form, hexagonal shape, six-sided form, "
            "hex, hexagonal form, hexagonal tile, bolt head, six-edged shape"
        ),
        "left": (
            "moving left, going left, drifting to the left, sliding leftwards, heading "
            "left, gliding leftward, travelling to the left-hand side, pushing left, "
            "floating leftwards, shifting to the left"
        ),
        "right": (
            "moving right, going right, drifting to the right, sliding rightwards, heading "
            "right, gliding rightward, travelling to the right-hand side, pushing right, "
            "floating rightwards, shifting to the right"
        ),
        "up": (
            "moving up, going up, rising, moving upwards, heading up, floating upward, "
            "climbing, lifting upwards, gaining height, travelling to the top"
        ),
        "down": (
            "moving down, going down, sinking, moving downwards, heading down, dropping, "
            "descending, plunging, losing height, travelling to the bottom"
        ),
        "still": (
            "standing still, staying in its place, not moving at all, staying still, "
            "remaining in position, keeping its place, resting, stationary, staying put, "
            "idle"
        ),
        "growing": (
            "growing, getting bigger, becoming larger, increasing in size, getting larger, "
            "expanding, swelling, inflating, ballooning, gaining size"
        ),
        "shrinking": (
            "shrinking, getting smaller, becoming smaller, decreasing in size, contracting, "
            "dwindling, reducing in size, deflating, getting tinier, withering"
        ),
        "rotating": (
            "turning round, rotating in place, spinning, rotating, turning about its "
            "centre, whirling, twirling, spinning round, pirouetting, gyrating"
        ),
        "reversing": (
            "turning back halfway, going out and coming back, moving back and forth, coming "
            "back again, returning to where it started, reversing, changing direction "
            "halfway, going there and back, doubling back, making a round trip, rebounding, "
            "backtracking"
        ),
        "starting_late": (
            "starting to move late, waiting before it moves, starting late, moving only "
            "later, resting first and then moving, setting off late, pausing before it "
            "moves, staying still at first, beginning to move late, holding on before "
            "setting off, hesitating"
        ),
        "leaving": (
            "leaving the picture, going out of view, disappearing over the edge, leaving "
            "the frame, moving out of the picture, exiting, going out of sight, slipping "
            "out of the frame, vanishing, moving off the screen"
        ),
        "entering": (
            "coming into the picture, coming into view, entering from outside, entering the "
            "frame, moving into the picture, appearing at the edge, coming in, sliding into "
            "view, coming in from outside, showing up"
        ),
        "noun": "object, shape, thing, item, form, element, piece, entity, body, article",
    }
)
"""Concept -> words of training."""
UNSEEN = _split(
    {
        "red": "cherry, strawberry",
        "green": "emerald, mint",
        "blue": "cornflower, lapis",
        "yellow": "daffodil, banana",
        "purple": "amethyst, grape",
        "orange": "copper, apricot",
        "cyan": "aquamarine, turquoise",
        "white": "alabaster, milky",
        "circle": "ball, sphere",
        "square": "quadrilateral, crate",
        "triangle": "tent, delta",
        "star": "pentagram, sparkle",
        "cross": "crucifix, intersection",
        "hexagon": "nut, honeycomb",
        "left": "westbound, scooting westwards",
        "right": "eastbound, scooting eastwards",
        "up": "ascending, soaring",
        "down": "lowering, falling",
        "still": "immobile, motionless",
        "growing": "enlarging, widening",
        "shrinking": "diminishing, narrowing",
        "rotating": "revolving, swivelling",
        "reversing": "boomeranging, oscillating",
        "starting_late": "lingering, delayed",
        "leaving": "escaping, departing",
        "entering": "arriving, emerging",
        "noun": "figure, one",
    }
)
"""Concept -> words that training lacks."""

FRAMES = (
    "{}",
    "find {}",
    "show me {}",
    "segment {}",
    "where is {}",
    "look for {}",
    "I mean {}",
    "{} in the video",
    "can you see {}",
    "mark {} for me",
    "track {} through the clip",
    "I am interested in {}",
    "outline {} in every frame",
    "give me the mask of {}",
    "my target is {}",
    "I was talking about {}",
    "pay attention to {}",
    "select {} from the scene",
    "which pixels belong to {}",
    "it is {} that I need",
    "we are watching {}",
    "{}, please",
    "do you notice {} here",
    "there must be {} somewhere",
)
"""Frames of a whole sentence, for training."""
UNSEEN_FRAMES = (
    "could you point out {}",
    "please highlight only {}",
    "my favourite is {}",
    "what I would like to see is {}",
)
WITH_MOTION = (
    "{} {}",
    "{} that {be} {}",
    "{} which {be} {}",
    "{} seen {}",
    "{}, {}",
    "{} and {it} {be} {}",
    "{} currently {}",
    "{} that {be} clearly {}",
    "{} when {it} {be} {}",
)
"""How a motion is joined to a noun, for training."""
UNSEEN_WITH_MOTION = ("{}, always {}", "{} while {}", "{} as {it} {be} {}")


class Description(NamedTuple):
    """Attributes named in a sentence; "" for attributes not named."""

    colour: str = ""
    shape: str = ""
    motion: str = ""


def reword(descriptions: Sequence[Description], rng: Rng, wording: str, *, is_plural: bool) -> str:
    """Return a sentence about objects in other words.

    Args:
        descriptions: one, or two that are joined by "and".
        rng: chooses the words and frames.
        wording: one of ``WORDINGS``.
        is_plural: whether each description refers to several objects.
    """
    words = UNSEEN if wording == UNSEEN_WORDS else SYNONYMS
    is_new = wording == NEW_FRAMES
    joints = UNSEEN_WITH_MOTION if is_new else WITH_MOTION
    parts = [_say(each, rng, words, joints, is_plural=is_plural) for each in descriptions]
    frame = str(rng.choice(UNSEEN_FRAMES if is_new else FRAMES))
    text = frame.format(" and ".join(parts))
    return text.replace("where is", "where are") if is_plural or len(parts) > 1 else text


def _say(
    description: Description,
    rng: Rng,
    words: dict[str, tuple[str, ...]],
    joints: Sequence[str],
    *,
    is_plural: bool,
) -> str:
    noun = str(rng.choice(words[description.shape or "noun"]))
    article = str(rng.choice(("the", "all", "all the") if is_plural else ("the", "the", "a")))
    colour = str(rng.choice(words[description.colour])) if description.colour else ""
    phrase = " ".join(filter(None, [article, colour, to_plural(noun) if is_plural else noun]))
    if phrase.startswith("a ") and phrase[2] in "aeiou" and phrase != "a one":
        phrase = f"an {phrase[2:]}"
    if not description.motion:
        return phrase
    motion = str(rng.choice(words[description.motion]))
    be, it = ("are", "they") if is_plural else ("is", "it")
    if is_plural:
        motion = motion.replace("it moves", "they move").replace("it started", "they started")
        motion = motion.replace("its place", "their places").replace("its ", "their ")
    return str(rng.choice(joints)).format(phrase, motion, be=be, it=it)


def to_plural(noun: str) -> str:
    """Return the plural of a noun: crosses, bodies, discs."""
    if noun.endswith("y"):
        return f"{noun[:-1]}ies"
    return f"{noun}es" if noun.endswith(("s", "x", "sh", "ch")) else f"{noun}s"
