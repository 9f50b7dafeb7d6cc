"""Reads Ref-DAVIS17 (Khoreva et al., "Video Object Segmentation with Language Referring", 2018)."""

from sola.datasets.label_maps import LabelMapSplit

NUM_ANNOTATORS = 4
"""Two people, each with the first frame and with the whole video before them."""


def annotator_of(expression_id: str) -> int:
    """Who wrote an expression: 0 to 3. Object k has the expressions 4k to 4k + 3, one of each.

    Raises:
        ValueError: if the id is no number.
    """
    if not (expression_id.isascii() and expression_id.isdigit()):
        raise ValueError(f"expression {expression_id!r} of Ref-DAVIS17: the id is no number")
    return int(expression_id) % NUM_ANNOTATORS


class RefDAVIS(LabelMapSplit):
    """A split of Ref-DAVIS17: train or valid; ``annotator_of`` tells who wrote an expression."""

    folders = ("ref-davis", "ref_davis", "ref-davis17", "Ref-DAVIS17")
