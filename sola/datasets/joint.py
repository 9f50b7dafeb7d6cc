"""Several data sets as one, to train on."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import cached_property

from sola.datasets.split import Split
from sola.errors import UserError
from sola.types import Expression, Masklet, Video

SEPARATOR = ":"
"""Between the name of a data set and a video's id in it."""


class JointSplit(Split):
    """Splits of several data sets; a video's id is ``<data set>:<its id there>``.

    Tracks are made and kept by data set: ``locate`` says where a video's own are.
    """

    def __init__(self, name: str, parts: Iterable[Split]) -> None:
        """Put splits together.

        Args:
            name: label of the whole.
            parts: of different data sets.

        Raises:
            UserError: if two have one name, or a name holds a colon.
        """
        self.name = name
        self._parts: dict[str, Split] = {}
        for part in parts:
            if part.name in self._parts or SEPARATOR in part.name:
                raise UserError(
                    f"{name}: the part {part.name} needs a name of its own, without '{SEPARATOR}'."
                )
            self._parts[part.name] = part
        self.split = "+".join(dict.fromkeys(part.split for part in self._parts.values()))
        self.split_dir = next(iter(self._parts.values())).split_dir

    @property
    def parts(self) -> Mapping[str, Split]:
        """See ``Split.parts``."""
        return self._parts

    def locate(self, video_id: str) -> tuple[Split, str]:
        """See ``Split.locate``."""
        name, _, own_id = video_id.partition(SEPARATOR)
        return self._parts[name], own_id

    @cached_property
    def videos(self) -> dict[str, Video]:
        """See ``Split.videos``; data set after data set."""
        return {
            joint_id(name, video.video_id): replace(video, video_id=joint_id(name, video.video_id))
            for name, part in self._parts.items()
            for video in part.videos.values()
        }

    @cached_property
    def expressions(self) -> list[Expression]:
        """See ``Split.expressions``; data set after data set."""
        return [
            replace(expression, video_id=joint_id(name, expression.video_id))
            for name, part in self._parts.items()
            for expression in part.expressions
        ]

    @property
    def has_masks(self) -> bool:
        """Whether the ground truth of all parts is here."""
        return all(part.has_masks for part in self._parts.values())

    @property
    def annotations_sha256(self) -> dict[str, str]:
        """See ``Split.annotations_sha256``."""
        return {
            f"{name}/{file}": sha256
            for name, part in self._parts.items()
            for file, sha256 in part.annotations_sha256.items()
        }

    def ground_truth(self, video_id: str) -> dict[str, Masklet]:
        """See ``Split.ground_truth``."""
        part, own_id = self.locate(video_id)
        return part.ground_truth(own_id)


def joint_id(name: str, video_id: str) -> str:
    """Id of a video of one of the data sets."""
    return f"{name}{SEPARATOR}{video_id}"
