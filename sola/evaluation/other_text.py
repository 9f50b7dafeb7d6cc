"""Whether a selection listens to its sentence: the same video, asked about other objects."""

import random
from collections import defaultdict
from collections.abc import Sequence

from sola.types import Expression


def choose_other_texts(
    expressions: Sequence[Expression], seed: int
) -> dict[tuple[str, str], Expression]:
    """For each expression one of the same video that means entirely different objects.

    Both must mean at least one object. The choice depends on the seed and the video's expressions
    alone, not on the order of videos.

    Args:
        expressions: all expressions of a split.
        seed: of the choice.

    Returns:
        (video id, expression id) -> the other expression. An expression without a partner is left
        out.
    """
    by_video: dict[str, list[Expression]] = defaultdict(list)
    for expression in expressions:
        if expression.object_ids:
            by_video[expression.video_id].append(expression)
    chosen = {}
    for video_id, of_video in by_video.items():
        for expression in of_video:
            objects = set(expression.object_ids or ())
            partners = [e for e in of_video if objects.isdisjoint(e.object_ids or ())]
            if partners:
                draw = random.Random(f"{seed}/{video_id}/{expression.expression_id}")
                chosen[video_id, expression.expression_id] = draw.choice(partners)
    return chosen
