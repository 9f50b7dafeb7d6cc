"""The tracks that a run learns from, and the label rule applied to them."""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from sola.config.entry_points import DataOptions, TrainConfig
from sola.datasets import Split
from sola.errors import UserError
from sola.evaluation.tracks import TrackSources, check_has_tokens, entry_of, in_order
from sola.metrics import track_labels
from sola.shards import ShardReader, tracks_dir
from sola.training.joint import AnyReader, JointReader
from sola.types import Expression, Labels, MeanOverlaps

Content = TypeVar("Content")


class RecentlyRead(Generic[Content]):
    """Reads entries, and keeps those that were asked for last.

    Args:
        read: (video id, expression id or "") -> what the entry holds.
        keep: entries to keep.
    """

    def __init__(self, read: Callable[[str, str], Content], keep: int) -> None:
        self._read, self._keep = read, keep
        self._kept: OrderedDict[tuple[str, str], Content] = OrderedDict()

    def __call__(self, entry: tuple[str, str]) -> Content:
        """What the entry (video id, expression id or "") holds."""
        if entry not in self._kept:
            while len(self._kept) >= self._keep:
                self._kept.popitem(last=False)
            self._kept[entry] = self._read(*entry)
        self._kept.move_to_end(entry)
        return self._kept[entry]

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_kept": OrderedDict()}


class LabelledTracks:
    """Object tokens and labels of a split's expressions from all its sources; masks are not read.

    An expression's tracks are those of its video, then those made for it, in the order of
    ``TrackSources``. What expressions share is read once when they are asked for in turn, or close
    to one another.

    Args:
        readers: one a prompt source, all of one tracker.
        rule: when a track counts as one that an expression means.
        keep: videos whose tracks stay in memory, those of each source that were asked for last.

    Raises:
        UserError: if the sources' trackers differ.
    """

    def __init__(self, readers: Sequence[AnyReader], rule: DataOptions, *, keep: int = 1) -> None:
        self.sources, self.rule = TrackSources(readers), rule
        self.readers = in_order(readers)
        # what belongs to one expression is not asked for again
        counts = [1 if reader.is_by_expression else keep for reader in self.readers]
        pairs = list(zip(self.readers, counts, strict=True))
        self._tokens = [RecentlyRead(reader.read_tokens, count) for reader, count in pairs]
        self._counts = [RecentlyRead(reader.read_labels, count) for reader, count in pairs]
        self._labels: dict[tuple[str, str], NDArray[np.bool_]] = {}

    def num_tracks(self, expression: Expression) -> int:
        """N, over all sources.

        Raises:
            UserError: if a source lacks the expression.
        """
        return sum(reader.num_tracks(*entry_of(reader, expression)) for reader in self.readers)

    def tokens(self, expression: Expression) -> NDArray[np.float32]:
        """Object tokens of an expression's tracks: (N, T, D); not to be written to.

        Raises:
            UserError: if a source lacks the expression, or sources differ in the number of frames.
        """
        parts = [
            read(entry_of(reader, expression))
            for reader, read in zip(self.readers, self._tokens, strict=True)
        ]
        lengths = {part.shape[1] for part in parts}
        if len(lengths) > 1:
            raise UserError(
                f"{expression.video_id}: tracks in {[str(r.tracks_dir) for r in self.readers]} "
                f"have different numbers of frames: {sorted(lengths)}. Move them away and run "
                "generate.py again."
            )
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def labels(self, expression: Expression) -> NDArray[np.bool_]:
        """Which of its tracks an expression means: (N,).

        Raises:
            UserError: if there is no ground truth for it.
        """
        key = (expression.video_id, expression.expression_id)
        if key not in self._labels:
            parts = [
                self._source_labels(reader, read, expression)
                for reader, read in zip(self.readers, self._counts, strict=True)
            ]
            self._labels[key] = np.concatenate(parts)
        return self._labels[key]

    def _source_labels(
        self,
        reader: AnyReader,
        read: RecentlyRead[Labels | MeanOverlaps | None],
        expression: Expression,
    ) -> NDArray[np.bool_]:
        entry = entry_of(reader, expression)
        num_tracks = reader.num_tracks(*entry)
        if num_tracks == 0 or expression.object_ids == ():  # no track is meant, even if unlabelled
            return np.zeros(num_tracks, dtype=bool)
        labels = read(entry)
        if labels is None or expression.object_ids is None:
            raise UserError(
                f"{reader.tracks_dir}: video {expression.video_id} has no ground truth to learn "
                "from or to measure with. Choose other splits: dataset.train_split, "
                "dataset.valid_split."
            )
        return track_labels(
            labels, expression.object_ids, self.rule.label_iou, self.rule.empty_frames
        )


def open_tracks(
    config: TrainConfig, dataset: Split, sources: Sequence[str], *, keep: int = 1
) -> LabelledTracks:
    """The tracks of a split; ``keep`` as for ``LabelledTracks``.

    Raises:
        UserError: if some are missing (with the command that makes them), were made by different
            trackers.
    """
    readers = [_open(config, dataset, source) for source in sources]
    tracks = LabelledTracks(readers, config.data, keep=keep)
    check_has_tokens(tracks.sources.token_dim, str(readers[0].tracks_dir))
    tracks.sources.check_complete(dataset)
    return tracks


def tracks_dirs(tracks: LabelledTracks) -> list[str]:
    """Every folder that tracks are read from."""
    return [
        str(part.tracks_dir)
        for reader in tracks.readers
        for part in (reader.readers.values() if isinstance(reader, JointReader) else [reader])
    ]


def _open(config: TrainConfig, dataset: Split, source: str) -> AnyReader:
    readers = {
        part.name: ShardReader(
            tracks_dir(
                Path(config.paths.data_dir), part.name, part.split, source, config.tracker.name
            )
        )
        for part in dataset.parts.values()
    }
    return (
        readers[dataset.name] if dataset.name in readers else JointReader(readers, dataset.locate)
    )
