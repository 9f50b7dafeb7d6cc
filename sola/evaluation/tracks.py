"""Read the tracks of a video from several prompt sources, with each expression's candidates."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from sola.datasets import Split
from sola.errors import UserError
from sola.masks import empty_masklet, merge
from sola.shards import ShardReader
from sola.types import DetectionEvidence, Expression, Masklet, Prompt, Tracks

# keys of index.json that must match for one selector to use all object tokens
COMMON_TO_TOKENS = ("tracker", "token_dim", "checkpoint_sha256")


@dataclass(frozen=True)
class VideoTracks:
    """N tracks of one video: first those made for the whole video, then those per expression.

    Attributes:
        video_id: id of the video.
        object_tokens: (N, T, D).
        masklets: N masklets of T masks.
        prompts: N prompts; ``prompt.source`` names the prompt source of a track.
        made_for: N expression ids; "" if a track was made for all expressions of the video.
        candidates: expression id -> ascending indices of the tracks that may answer it.
        size: (H, W) of every mask.
        evidence: N, a detector's evidence along each track, in one row; None: no evidence.
    """

    video_id: str
    object_tokens: NDArray[np.float32]
    masklets: tuple[Masklet, ...]
    prompts: tuple[Prompt, ...]
    made_for: tuple[str, ...]
    candidates: dict[str, tuple[int, ...]]
    size: tuple[int, int]
    evidence: tuple[DetectionEvidence | None, ...] = ()

    def union(self, selected: Iterable[int]) -> Masklet:
        """Return the union of some tracks: T masks, empty ones if there are no tracks."""
        empty = empty_masklet(self.object_tokens.shape[1], self.size)
        return merge([self.masklets[idx] for idx in selected]) or empty


class VideoReader(Protocol):
    """Reads the tracks of a split, such as ``TrackSources``."""

    def read(self, expressions: Sequence[Expression]) -> VideoTracks:
        """Read all tracks of some expressions of one video."""


class TrackSources:
    """Reads the tracks of one split from several prompt sources as one set.

    Args:
        readers: one per prompt source, all of one data set, split and tracker.

    Attributes:
        readers: in the order of the tracks: sources of whole videos, then those per expression.

    Raises:
        UserError: if there are no readers, or two sources differ in their tracker.
    """

    def __init__(self, readers: Sequence[ShardReader]) -> None:
        if not readers:
            raise UserError("sources: at least one prompt source is required, such as [grid].")
        self.readers = tuple(sorted(readers, key=lambda reader: reader.is_by_expression))
        for reader in self.readers[1:]:
            check_same_tokens(self.readers[0], reader)

    @property
    def token_dim(self) -> int:
        """D, width of an object token."""
        return int(self.readers[0].index["token_dim"])

    @property
    def is_by_expression(self) -> bool:
        """Whether expressions of one video have different tracks."""
        return any(reader.is_by_expression for reader in self.readers)

    def check_complete(self, dataset: Split) -> None:
        """Verify that every source has tracks of every expression, before hours of work.

        Raises:
            UserError: if a source lacks a video or an expression, or its number of frames differs.
        """
        for reader in self.readers:
            for expression in dataset.expressions:
                found = reader.num_frames(*entry_of(reader, expression))
                needed = len(dataset.videos[expression.video_id].frame_paths)
                if found != needed:
                    raise UserError(
                        f"{reader.tracks_dir}: tracks of video {expression.video_id} have {found} "
                        f"frames, the video has {needed}. The data set has changed since: move "
                        "the folder away and run generate.py again."
                    )

    def read(self, expressions: Sequence[Expression]) -> VideoTracks:
        """Read all tracks of some expressions of one video; shared tracks are read once.

        Raises:
            UserError: if a source lacks the video or an expression.
        """
        video_id = expressions[0].video_id
        assert {e.video_id for e in expressions} == {video_id}, "expressions of several videos"
        parts = [
            reader.read(*entry)
            for reader in self.readers
            for entry in dict.fromkeys(entry_of(reader, expression) for expression in expressions)
        ]
        made_for = tuple(part.expression_id for part in parts for _ in part.masklets)
        return VideoTracks(
            video_id=video_id,
            object_tokens=np.concatenate([part.object_tokens for part in parts]),
            masklets=tuple(masklet for part in parts for masklet in part.masklets),
            prompts=tuple(prompt for part in parts for prompt in part.prompts),
            made_for=made_for,
            candidates={
                own: tuple(idx for idx, owner in enumerate(made_for) if owner in ("", own))
                for own in (expression.expression_id for expression in expressions)
            },
            size=parts[0].size,
            evidence=tuple(row for part in parts for row in _evidence_rows(part)),
        )


def check_same_tokens(one: ShardReader, other: ShardReader) -> None:
    """Check that the object tokens of two readers come from the same tracker.

    Raises:
        UserError: if the tracker's name, width or checkpoint differs.
    """
    for key in COMMON_TO_TOKENS:
        found, needed = other.index.get(key), one.index.get(key)
        if found != needed:
            raise UserError(
                f"{other.tracks_dir}: {key} is {found}, that of {one.tracks_dir} is {needed}. "
                "Object tokens of different trackers do not mix: run generate.py with one tracker."
            )


def check_has_tokens(token_dim: int, where: str) -> None:
    """Check that tracks have object tokens, which trained selectors need.

    Args:
        token_dim: width of the tokens; 0 if there are none.
        where: name of the tracks in the message.

    Raises:
        UserError: if there are no object tokens.
    """
    if token_dim == 0:
        raise UserError(
            f"{where}: these tracks have no object tokens; a trained selector needs them. Choose "
            "another tracker, or a selector that is not trained."
        )


def entry_of(reader: ShardReader, expression: Expression) -> tuple[str, str]:
    """Return (video id, expression id or "") of the entry that holds an expression's tracks."""
    return expression.video_id, expression.expression_id if reader.is_by_expression else ""


def _evidence_rows(part: Tracks) -> list[DetectionEvidence | None]:
    if part.evidence is None:
        return [None] * len(part.masklets)
    return [DetectionEvidence(part.evidence.frame_idxs, row[None]) for row in part.evidence.scores]
