"""The tracks that a run learns from, and the label rule applied to them."""

import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sola.datasets import Split
from sola.errors import UserError
from sola.evaluation.tracks import TrackSources, check_has_tokens, entry_of
from sola.metrics import track_labels
from sola.selector import Selector
from sola.shards import ShardReader, tracks_dir
from sola.text import TextEncoder
from sola.types import Expression, Labels


class LabelledTracks:
    """Object tokens and labels of a split's expressions from all its sources; masks are not read.

    An expression's tracks are those of its video, then those made for it, in the order of
    ``TrackSources``. What expressions share is read once if they come in turn, or close to one
    another.

    Args:
        readers: one a prompt source, all of one tracker.
        label_iou: a track is positive when its best IoU over the expression's objects is above it.
        empty_frames: frames empty in track and object: count or skip, see ``track_labels``.
        keep: videos whose tracks stay in memory, the last ones read of each source.

    Raises:
        UserError: if the sources' trackers differ.
    """

    def __init__(
        self, readers: Sequence[ShardReader], label_iou: float, empty_frames: str, keep: int = 1
    ) -> None:
        self.sources = TrackSources(readers)
        self.readers = self.sources.readers
        self.label_iou, self.empty_frames, self.keep = label_iou, empty_frames, keep
        # the tracks of one expression are read once
        counts = [1 if reader.is_by_expression else keep for reader in self.readers]
        pairs = list(zip(self.readers, counts, strict=True))
        self._read_tokens = [functools.lru_cache(count)(r.read_tokens) for r, count in pairs]
        self._read_labels = [functools.lru_cache(count)(r.read_labels) for r, count in pairs]
        self._labels: dict[tuple[str, str], NDArray[np.bool_]] = {}

    def __reduce__(self) -> Any:
        """A copy in another process opens its files and fills its memory itself."""
        return LabelledTracks, (self.readers, self.label_iou, self.empty_frames, self.keep)

    def num_tracks(self, expression: Expression) -> int:
        """N, over all sources.

        Raises:
            UserError: if a source lacks the expression.
        """
        return sum(reader.num_tracks(*entry_of(reader, expression)) for reader in self.readers)

    def tokens(self, expression: Expression) -> NDArray[np.float32]:
        """Object tokens of an expression's tracks: (N, T, D); do not write to them.

        Raises:
            UserError: if a source lacks the expression.
        """
        pairs = zip(self.readers, self._read_tokens, strict=True)
        parts = [read(*entry_of(reader, expression)) for reader, read in pairs]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def labels(self, expression: Expression) -> NDArray[np.bool_]:
        """Which of its tracks an expression refers to: (N,).

        Raises:
            UserError: if there is no ground truth for it.
        """
        key = (expression.video_id, expression.expression_id)
        if key not in self._labels:
            pairs = zip(self.readers, self._read_labels, strict=True)
            self._labels[key] = np.concatenate([self._label(*p, expression) for p in pairs])
        return self._labels[key]

    def _label(
        self, reader: ShardReader, read: Callable[..., Labels | None], expression: Expression
    ) -> NDArray[np.bool_]:
        entry, objects = entry_of(reader, expression), expression.object_ids
        num_tracks = reader.num_tracks(*entry)
        if num_tracks == 0 or objects == ():  # no track is positive, even without labels
            return np.zeros(num_tracks, dtype=bool)
        labels = read(*entry)
        if labels is None or objects is None:
            raise UserError(
                f"{reader.tracks_dir}: video {expression.video_id} has no ground truth to learn "
                "from or to measure with. Choose other splits: dataset.train_split, "
                "dataset.valid_split."
            )
        return track_labels(labels, objects, self.label_iou, self.empty_frames)


def open_tracks(
    data_dir: Path, dataset: Split, sources: Sequence[str], tracker: str, **options: Any
) -> LabelledTracks:
    """The tracks of a split of one data set.

    Args:
        data_dir: holds tracks/.
        dataset: the split.
        sources: prompt sources.
        tracker: its name.
        options: of ``LabelledTracks``.

    Raises:
        UserError: if some are missing (with the command that makes them), or were made by different
            trackers.
    """
    folders = [tracks_dir(data_dir, dataset.name, dataset.split, name, tracker) for name in sources]
    tracks = LabelledTracks([ShardReader(folder) for folder in folders], **options)
    check_has_tokens(tracks.sources.token_dim, str(folders[0]))
    tracks.sources.check_complete(dataset)
    return tracks


def check_widths(selector: Selector, tracks: LabelledTracks, encoder: TextEncoder) -> None:
    """Refuse a selector whose widths are not those of its inputs.

    Raises:
        UserError: if one differs.
    """
    where = tracks.readers[0].tracks_dir
    for key, width, what in (
        ("token_dim", tracks.sources.token_dim, f"object tokens in {where}"),
        ("text_dim", encoder.dim, f"text tokens of {encoder.name}"),
    ):
        if (found := selector.kwargs.get(key, width)) != width:
            raise UserError(
                f"selector.{key}: must be {width}, the width of {what}, got {found}. Set "
                f"selector.{key}={width}."
            )
