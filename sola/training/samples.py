"""Training samples of a split: object tokens, labels and text tokens of its expressions."""

import functools
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset

from sola.datasets import Split
from sola.errors import UserError
from sola.evaluation.scores import group_by_video
from sola.evaluation.tracks import TrackSources, check_has_tokens, entry_of
from sola.metrics import track_labels
from sola.selector import Selector
from sola.shards import ShardReader, tracks_dir
from sola.text import TextEncoder, TextTokens
from sola.training.batch import Sample
from sola.types import Expression, Labels


class LabelledTracks:
    """Object tokens and labels of a split's expressions, from all its prompt sources.

    An expression's tracks are those of its video, then those made for it, in the order of
    ``TrackSources``. Masks are not read. Tracks that expressions share are read once if the
    expressions follow one another closely.

    Args:
        readers: one per prompt source, all of the same tracker.
        label_iou: a track is positive if its best IoU over the expression's objects is above this.
        empty_frames: count or skip frames empty in both track and object, see ``track_labels``.
        keep: number of videos whose tracks stay in memory per source, those read last.

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
        """Pickle the arguments only: a copy opens its files and fills its cache itself."""
        return LabelledTracks, (self.readers, self.label_iou, self.empty_frames, self.keep)

    def num_tracks(self, expression: Expression) -> int:
        """Return N, the number of an expression's tracks over all sources.

        Raises:
            UserError: if a source lacks the expression.
        """
        return sum(reader.num_tracks(*entry_of(reader, expression)) for reader in self.readers)

    def tokens(self, expression: Expression) -> NDArray[np.float32]:
        """Return the object tokens of an expression's tracks, (N, T, D); do not write to them.

        Raises:
            UserError: if a source lacks the expression.
        """
        pairs = zip(self.readers, self._read_tokens, strict=True)
        parts = [read(*entry_of(reader, expression)) for reader, read in pairs]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def labels(self, expression: Expression) -> NDArray[np.bool_]:
        """Return which of its tracks an expression refers to, (N,) bool.

        Raises:
            UserError: if the expression has no ground truth.
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
    """Open the tracks of a split.

    Args:
        data_dir: folder that holds tracks/.
        dataset: the split.
        sources: names of the prompt sources.
        tracker: name of the tracker.
        options: arguments of ``LabelledTracks``.

    Raises:
        UserError: if tracks are missing (with the command that makes them), or were made by
            different trackers.
    """
    folders = [tracks_dir(data_dir, dataset.name, dataset.split, name, tracker) for name in sources]
    tracks = LabelledTracks([ShardReader(folder) for folder in folders], **options)
    check_has_tokens(tracks.sources.token_dim, str(folders[0]))
    tracks.sources.check_complete(dataset)
    return tracks


def check_widths(selector: Selector, tracks: LabelledTracks, encoder: TextEncoder) -> None:
    """Check that the selector's widths match its inputs.

    Raises:
        UserError: if a width differs.
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


class SelectionDataset(Dataset[Sample]):
    """Dataset of a split's expressions and their candidate tracks.

    Args:
        expressions: expressions of the split.
        tracks: tracks of the split.
        text: returns text tokens.
        by_video: whether a sample is a video with all its expressions; if not, or if expressions of
            one video have different tracks, a sample is one expression.
        skip_empty: whether to skip expressions without tracks, which teach nothing.
        max_tokens: videos with more object tokens are split into samples of fewer expressions.
        max_expressions: videos with more expressions are split likewise.

    Raises:
        UserError: if no sample is left.
    """

    def __init__(
        self,
        expressions: Sequence[Expression],
        tracks: LabelledTracks,
        text: TextTokens,
        *,
        by_video: bool,
        skip_empty: bool = False,
        max_tokens: int | None = None,
        max_expressions: int | None = None,
    ) -> None:
        self.tracks, self.text = tracks, text
        self.max_tokens, self.max_expressions = max_tokens, max_expressions
        if skip_empty:
            expressions = [e for e in expressions if tracks.num_tracks(e) > 0]
        self.samples: list[tuple[Expression, ...]] = [(each,) for each in expressions]
        if by_video and not tracks.sources.is_by_expression:
            groups = group_by_video(expressions).values()
            self.samples = [part for group in groups for part in self._cut(group)]
        if not self.samples:
            raise UserError(
                f"{tracks.readers[0].tracks_dir}: none of the split's expressions has tracks. "
                "Check the data set, or run generate.py with another prompt_source."
            )

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> Sample:
        expressions = self.samples[index]
        tokens = self.tracks.tokens(expressions[0])  # the same for all of them
        labels = [torch.from_numpy(self.tracks.labels(e)) for e in expressions]
        texts = self.text.tokens([e.text for e in expressions])
        return Sample(
            tokens=torch.from_numpy(tokens),
            texts=tuple(torch.from_numpy(array) for array in texts),
            labels=torch.stack(labels),
            expressions=expressions,
        )

    def num_tokens(self, expressions: Sequence[Expression]) -> int:
        """Return the number of object tokens of a sample: expressions x tracks x frames."""
        first = expressions[0]  # the others have the same tracks
        reader = self.tracks.readers[0]
        num_frames = reader.num_frames(*entry_of(reader, first))
        return len(expressions) * self.tracks.num_tracks(first) * num_frames

    def _cut(self, group: Sequence[Expression]) -> list[tuple[Expression, ...]]:
        """Split a video's expressions into samples of similar size that keep to both limits."""
        at_most = self.max_expressions or len(group)
        if self.max_tokens is not None:
            at_most = min(at_most, self.max_tokens // max(1, self.num_tokens(group[:1])))
        num_parts = math.ceil(len(group) / max(1, at_most))
        return [tuple(group[part::num_parts]) for part in range(num_parts)]
