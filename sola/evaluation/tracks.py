"""The tracks of a video from one or several prompt sources, and who may choose which."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from sola.datasets import Split
from sola.errors import UserError
from sola.types import DetectionEvidence, Expression, Masklet, Prompt, Tracks

COMMON_TO_TOKENS = ("tracker", "token_dim", "checkpoint_sha256")
"""What index.json says of all object tokens that one selector is used with."""


class TrackReader(Protocol):
    """What is needed of ``sola.shards.ShardReader``."""

    tracks_dir: Path
    index: dict[str, Any]

    @property
    def is_by_expression(self) -> bool:
        """Whether an entry holds the tracks of one expression, not those of a whole video."""

    def read(self, video_id: str, expression_id: str = "") -> Tracks:
        """Tracks of one entry."""

    def num_frames(self, video_id: str, expression_id: str = "") -> int:
        """Number of the frames of one entry; UserError if there is no such entry."""


Reader = TypeVar("Reader", bound=TrackReader)


@dataclass(frozen=True)
class VideoTracks:
    """The N tracks of one video: those of the video itself, then those of each expression."""

    video_id: str
    object_tokens: NDArray[np.float32]
    """(N, T, D)."""
    masklets: tuple[Masklet, ...]
    """N masklets of T masks."""
    prompts: tuple[Prompt, ...]
    """N prompts, one a track; ``prompt.source`` says where a track comes from."""
    made_for: tuple[str, ...]
    """N expression ids; "" where a track is made for the video, so for all its expressions."""
    candidates: dict[str, tuple[int, ...]]
    """Expression id -> the tracks that may answer it, in ascending order; no other's are there."""
    size: tuple[int, int]
    """(H, W) of every mask."""
    evidence: tuple[DetectionEvidence | None, ...] = ()
    """N, what a detector found along each track, with one row; None where there is none."""


class VideoReader(Protocol):
    """Whatever has the tracks of a split, such as ``TrackSources``."""

    def read(self, expressions: Sequence[Expression]) -> VideoTracks:
        """All tracks of some expressions of one video."""


class TrackSources:
    """Readers of the tracks of one split from several prompt sources, read as one.

    Args:
        readers: one a prompt source; all of one data set, split and tracker. See ``in_order``.

    Raises:
        UserError: if there is none, or two sources differ in split or tracker.
    """

    def __init__(self, readers: Sequence[TrackReader]) -> None:
        if not readers:
            raise UserError("sources=[] names no tracks; give at least one, such as sources=[grid]")
        self.readers = in_order(readers)
        first = self.readers[0]
        for reader in self.readers[1:]:
            for key in ("dataset", "split"):
                found, needed = reader.index.get(key), first.index.get(key)
                if found != needed:
                    raise UserError(
                        f"{reader.tracks_dir}: {key} is {found}, that of {first.tracks_dir} is "
                        f"{needed}: these are tracks of other videos. Name sources of one split."
                    )
            check_same_tokens(first, reader)

    @property
    def token_dim(self) -> int:
        """D, width of an object token."""
        return int(self.readers[0].index["token_dim"])

    @property
    def is_by_expression(self) -> bool:
        """Whether expressions of one video have different tracks."""
        return any(reader.is_by_expression for reader in self.readers)

    def check_complete(self, dataset: Split) -> None:
        """Makes sure, before hours of work, that every source knows every expression's frames.

        Raises:
            UserError: if a source lacks the video or an expression, or has other frames.
        """
        for reader in self.readers:
            for expression in dataset.expressions:
                found = reader.num_frames(*entry_of(reader, expression))
                needed = len(dataset.videos[expression.video_id].frame_paths)
                if found != needed:
                    raise UserError(
                        f"{reader.tracks_dir}: tracks of video {expression.video_id} have {found} "
                        f"frames, the video {needed}. The data set has changed since they were "
                        "made: move the folder away and run generate.py again."
                    )

    def read(self, expressions: Sequence[Expression]) -> VideoTracks:
        """All tracks of some expressions of one video; those that they share are read once.

        Raises:
            UserError: if a source lacks the video or an expression, or sources disagree on frames
                or their size.
        """
        video_id = expressions[0].video_id
        assert {e.video_id for e in expressions} == {video_id}, "expressions of several videos"
        parts = [
            reader.read(*entry)
            for reader in self.readers
            for entry in dict.fromkeys(entry_of(reader, expression) for expression in expressions)
        ]
        shapes = {(part.object_tokens.shape[1], part.size) for part in parts}
        if len(shapes) > 1:
            raise UserError(
                f"{video_id}: sources {[str(r.tracks_dir) for r in self.readers]} have tracks of "
                f"different (frames, (height, width)): {sorted(shapes)}. Run generate.py again."
            )
        made_for = tuple(part.expression_id for part in parts for _ in part.masklets)
        return VideoTracks(
            video_id=video_id,
            object_tokens=np.concatenate([part.object_tokens for part in parts]),
            masklets=tuple(masklet for part in parts for masklet in part.masklets),
            prompts=tuple(prompt for part in parts for prompt in part.prompts),
            made_for=made_for,
            candidates={e.expression_id: _own(made_for, e.expression_id) for e in expressions},
            size=parts[0].size,
            evidence=tuple(row for part in parts for row in _evidence_rows(part)),
        )


def _evidence_rows(part: Tracks) -> list[DetectionEvidence | None]:
    if part.evidence is None:
        return [None] * len(part.masklets)
    return [DetectionEvidence(part.evidence.frame_idxs, row[None]) for row in part.evidence.scores]


def check_same_tokens(one: TrackReader, other: TrackReader) -> None:
    """Object tokens of different trackers do not mix.

    Raises:
        UserError: if name, width or checkpoint differ.
    """
    for key in COMMON_TO_TOKENS:
        found, needed = other.index.get(key), one.index.get(key)
        if found != needed:
            raise UserError(
                f"{other.tracks_dir}: {key} is {found}, that of {one.tracks_dir} is {needed}: "
                "object tokens of different trackers do not mix. Run generate.py for both with "
                "the same tracker."
            )


def check_has_tokens(token_dim: int, where: str) -> None:
    """Trackers may have no object tokens, and trained selectors need them.

    Args:
        token_dim: width of the tokens; 0 if there are none.
        where: names the tracks in the message.

    Raises:
        UserError: if there are none.
    """
    if token_dim == 0:
        raise UserError(
            f"{where}: these tracks have no object tokens; a trained selector needs them. Choose "
            "another tracker, or a selector that is not trained."
        )


def in_order(readers: Sequence[Reader]) -> tuple[Reader, ...]:
    """Those of videos before those of expressions, and else as they were: the order of tracks."""
    return tuple(sorted(readers, key=lambda reader: reader.is_by_expression))


def entry_of(reader: TrackReader, expression: Expression) -> tuple[str, str]:
    """(video id, expression id or "") of the entry in which a reader has an expression's tracks."""
    return expression.video_id, expression.expression_id if reader.is_by_expression else ""


def _own(made_for: Sequence[str], expression_id: str) -> tuple[int, ...]:
    return tuple(idx for idx, owner in enumerate(made_for) if owner in ("", expression_id))
