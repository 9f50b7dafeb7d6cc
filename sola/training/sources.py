"""The tracks that a run learns from, and the label rule applied to them."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sola.config.schema import LossConfig, TrainConfig
from sola.evaluation.tracks import COMMON_TO_TOKENS, TrackSources
from sola.metrics import track_labels
from sola.shards import ShardReader, tracks_dir
from sola.types import Expression, Labels


class LabelledTracks:
    """Object tokens and labels of one split from all its prompt sources; masks are not read.

    Args:
        readers: one a prompt source, all of one tracker.
        rule: when a track counts as one that an expression means.

    Raises:
        ValueError: if the sources' trackers differ.
    """

    def __init__(self, readers: Sequence[ShardReader], rule: LossConfig) -> None:
        self.sources = TrackSources(readers)
        self.readers, self.rule = tuple(readers), rule
        self._labels: dict[tuple[str, str], NDArray[np.bool_]] = {}
        self._counts: tuple[str, list[Labels | None]] = ("", [])

    def num_tracks(self, video_id: str) -> int:
        """N, over all sources.

        Raises:
            ValueError: if a source lacks the video.
        """
        return sum(reader.num_tracks(video_id) for reader in self.readers)

    def tokens(self, video_id: str) -> NDArray[np.float32]:
        """Object tokens of a video: (N, T, D), source after source.

        Raises:
            ValueError: if a source lacks the video, or sources differ in the number of frames.
        """
        parts = [reader.read_tokens(video_id) for reader in self.readers]
        lengths = {part.shape[1] for part in parts}
        if len(lengths) > 1:
            raise ValueError(
                f"{video_id}: tracks in {[str(r.tracks_dir) for r in self.readers]} have different "
                f"numbers of frames: {sorted(lengths)}. Delete them and run generate.py again."
            )
        return np.concatenate(parts)

    def labels(self, expression: Expression) -> NDArray[np.bool_]:
        """Which tracks an expression means: (N,).

        Raises:
            ValueError: if there is no ground truth for it.
        """
        key = (expression.video_id, expression.expression_id)
        if key not in self._labels:
            counts = self._read_counts(expression.video_id)
            parts = map(self._source_labels, self.readers, counts, [expression] * len(counts))
            self._labels[key] = np.concatenate(list(parts))
        return self._labels[key]

    def _read_counts(self, video_id: str) -> list[Labels | None]:
        """Pixel counts of every source, read once for all expressions of a video."""
        if self._counts[0] != video_id:
            self._counts = (video_id, [reader.read_labels(video_id) for reader in self.readers])
        return self._counts[1]

    def _source_labels(
        self, reader: ShardReader, labels: Labels | None, expression: Expression
    ) -> NDArray[np.bool_]:
        if expression.object_ids == ():  # no track is meant, whether there is ground truth or not
            return np.zeros(reader.num_tracks(expression.video_id), dtype=bool)
        if labels is None or expression.object_ids is None:
            raise ValueError(
                f"{reader.tracks_dir}: video {expression.video_id} has no ground truth to learn "
                "from or to measure with. Choose other splits: dataset.train_split, "
                "dataset.valid_split."
            )
        return track_labels(
            labels, expression.object_ids, self.rule.label_iou, self.rule.empty_frames
        )


def open_tracks(config: TrainConfig, split: str, sources: Sequence[str]) -> LabelledTracks:
    """The tracks of a split.

    Raises:
        ValueError: if some are missing (with the command that makes them), were made by different
            trackers, or have tokens of another width than the selector.
    """
    readers = [_open(config, split, source) for source in sources]
    tracks = LabelledTracks(readers, config.loss)
    if tracks.sources.token_dim != config.selector.token_dim:
        raise ValueError(
            f"{readers[0].tracks_dir}: object tokens are {tracks.sources.token_dim} wide, "
            f"selector.token_dim is {config.selector.token_dim}. Set "
            f"selector.token_dim={tracks.sources.token_dim}, or choose the tracks' own tracker."
        )
    return tracks


def check_same_tracker(train: LabelledTracks, valid: LabelledTracks) -> None:
    """Object tokens of different trackers do not mix, across splits either.

    Raises:
        ValueError: if name, width or checkpoint differ.
    """
    one, other = train.readers[0], valid.readers[0]
    for key in COMMON_TO_TOKENS:
        found, needed = other.index.get(key), one.index.get(key)
        if found != needed:
            raise ValueError(
                f"{other.tracks_dir}: {key} is {found}, that of {one.tracks_dir} is {needed}: "
                "object tokens of different trackers do not mix. Run generate.py for both splits "
                "with the same tracker."
            )


def _open(config: TrainConfig, split: str, source: str) -> ShardReader:
    name, tracker = config.dataset.name, config.tracker.name
    return ShardReader(tracks_dir(Path(config.paths.data_dir), name, split, source, tracker))
