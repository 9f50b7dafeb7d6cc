"""Ref-DAVIS17 (Khoreva et al., "Video Object Segmentation with Language Referring", 2018)."""

from sola.datasets.annotations import LabelMapSplit
from sola.errors import UserError
from sola.types import Masklet

NUM_ANNOTATORS = 4
"""Two people, each shown first only the first frame and then the whole video."""
VOID = "255"
"""Value of pixels that are neither object nor background."""


def annotator_of(expression_id: str) -> int:
    """Return the annotator of an expression, 0 to 3.

    Object k has the expressions 4k to 4k + 3, one by each annotator.

    Raises:
        UserError: if the id is not a number.
    """
    if not (expression_id.isascii() and expression_id.isdigit()):
        raise UserError(f"expression {expression_id!r} of Ref-DAVIS17: the id is no number")
    return int(expression_id) % NUM_ANNOTATORS


class RefDAVIS(LabelMapSplit):
    """A split of Ref-DAVIS17: train or valid; see ``annotator_of`` for the expression ids."""

    protocol = "ref_davis"

    def void(self, video_id: str) -> Masklet:
        """Return the void pixels of a video (value 255), which count for no object.

        Raises:
            UserError: see ``ground_truth``.
        """
        return self._masklets(video_id, [VOID], self.frame_size(video_id))[VOID]
