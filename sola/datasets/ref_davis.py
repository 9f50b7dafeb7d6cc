"""Ref-DAVIS17 (Khoreva et al., "Video Object Segmentation with Language Referring", 2018)."""

from sola.datasets.annotations import LabelMapSplit
from sola.errors import UserError
from sola.types import Masklet

NUM_ANNOTATORS = 4
"""Two people, each with the first frame and with the whole video before them."""
VOID = "255"
"""Value of the pixels that belong neither to an object nor to the background."""


def annotator_of(expression_id: str) -> int:
    """Return the annotator of an expression, 0 to 3.

    Object k has the expressions 4k to 4k + 3, one of each annotator.

    Raises:
        UserError: if the id is no number.
    """
    if not (expression_id.isascii() and expression_id.isdigit()):
        raise UserError(f"expression {expression_id!r} of Ref-DAVIS17: the id is no number")
    return int(expression_id) % NUM_ANNOTATORS


class RefDAVIS(LabelMapSplit):
    """A split of Ref-DAVIS17: train or valid; ``annotator_of`` tells who wrote an expression."""

    protocol = "ref_davis"

    def void(self, video_id: str) -> Masklet:
        """Pixels of a video that its annotators left open: value 255.

        Raises:
            UserError: as ``ground_truth`` does.
        """
        return self._masklets(video_id, [VOID], self.frame_size(video_id))[VOID]
