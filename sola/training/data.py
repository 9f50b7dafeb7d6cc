"""Tracks and labels of a split, samples, their order in an epoch, and their DataModule."""

import functools
import math
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from numpy.typing import NDArray
from torch.utils.data import ConcatDataset, DataLoader, Dataset, Sampler

from sola.config.sections import DataOptions
from sola.datasets import Split
from sola.errors import UserError
from sola.evaluation.scores import group_by_video
from sola.evaluation.tracks import TrackSources, check_has_tokens, entry_of
from sola.metrics import track_labels
from sola.selector import Selector
from sola.shards import ShardReader, tracks_dir
from sola.text import TextEncoder, TextTokens
from sola.training.batch import Batch, Sample, collate
from sola.types import Expression, Labels

Item = tuple[int, ...]
"""Samples that a device always sees in the same step: one, or a pack of them."""


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


class SelectionDataset(Dataset[Sample]):
    """The expressions of a split with the tracks that may answer them.

    Args:
        expressions: of the split.
        tracks: of the split.
        text: gives their text tokens.
        by_video: a sample is a video with all its expressions; otherwise, and where expressions of
            one video have different tracks, it is one expression.
        skip_empty: leave out expressions without tracks, which have nothing to learn from.
        max_tokens: videos with more object tokens are cut into samples of fewer expressions.

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
    ) -> None:
        self.tracks, self.text, self.max_tokens = tracks, text, max_tokens
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
        """Object tokens of a sample: expressions x tracks x frames."""
        first = expressions[0]  # the others have the same tracks
        reader = self.tracks.readers[0]
        num_frames = reader.num_frames(*entry_of(reader, first))
        return len(expressions) * self.tracks.num_tracks(first) * num_frames

    def _cut(self, group: Sequence[Expression]) -> list[tuple[Expression, ...]]:
        """Parts of a video's expressions that fit into the budget, of about equal size."""
        if self.max_tokens is None:
            return [tuple(group)]
        at_most = max(1, self.max_tokens // max(1, self.num_tokens(group[:1])))
        num_parts = math.ceil(len(group) / at_most)
        return [tuple(group[part::num_parts]) for part in range(num_parts)]


def draw_order(groups: Sequence[Hashable], *, window: int, seed: int, epoch: int) -> list[int]:
    """Every position once, in an order that is random and yet comes back soon to a group.

    Groups are shuffled and cut into windows; the positions of a window are shuffled.

    Args:
        groups: of each position, such as the video of each sample.
        window: groups in a window.
        seed: of the run.
        epoch: each has an order of its own.
    """
    rng = np.random.default_rng((seed, epoch))
    positions: dict[Hashable, list[int]] = {}
    for position, group in enumerate(groups):
        positions.setdefault(group, []).append(position)
    shuffled = list(positions.values())
    shuffled = [shuffled[idx] for idx in rng.permutation(len(shuffled))]
    order: list[int] = []
    for start in range(0, len(shuffled), window):
        members = [position for group in shuffled[start : start + window] for position in group]
        order += rng.permutation(members).tolist()
    return order


def pack(sizes: Sequence[int], max_tokens: int, order: Sequence[int]) -> list[Item]:
    """Every position once, in packs whose sizes add up to at most ``max_tokens``.

    Args:
        sizes: of the things to pack.
        max_tokens: a size beyond it has a pack of its own.
        order: of all positions; packs are filled in it.
    """
    packs: list[list[int]] = []
    room = -1
    for idx in order:
        if sizes[idx] > room:
            packs.append([])
            room = max_tokens
        packs[-1].append(idx)
        room -= sizes[idx]
    return [tuple(members) for members in packs]


class StepSampler(Sampler[list[int]]):
    """One device's samples in each step of an epoch: a function of the arguments and the epoch.

    A step takes ``batch_size`` items for every device, which are dealt like cards: all devices
    together see what one with ``num_ranks`` times the batch size sees. In the last step some may
    get fewer, or none: an empty list.

    Args:
        items: to be seen once an epoch.
        groups: of each item, see ``draw_order``.
        batch_size: items a step and device.
        window: see ``draw_order``.
        seed: of the run.
        place: rank of the device, and how many devices there are.
    """

    def __init__(
        self,
        items: Sequence[Item],
        groups: Sequence[Hashable],
        batch_size: int,
        window: int,
        seed: int,
        place: tuple[int, int] = (0, 1),
    ) -> None:
        self.items, self.groups, self.window, self.seed = items, groups, window, seed
        self.rank, self.num_ranks = place
        self.items_per_step = batch_size * self.num_ranks
        self.sampler = self  # where Lightning looks for ``set_epoch``
        self.epoch = 0
        self.steps_done: dict[int, int] = {}
        """By epoch, steps that a resumed run passes over."""

    def __len__(self) -> int:
        """Steps of a whole epoch, the same for every device."""
        return math.ceil(len(self.items) / self.items_per_step)

    def __iter__(self) -> Iterator[list[int]]:
        order = draw_order(self.groups, window=self.window, seed=self.seed, epoch=self.epoch)
        start = self.steps_done.get(self.epoch, 0) * self.items_per_step
        for first in range(start, len(order), self.items_per_step):
            own = order[first : first + self.items_per_step][self.rank :: self.num_ranks]
            yield [sample for position in own for sample in self.items[position]]

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch of the next pass."""
        self.epoch = epoch

    @property
    def description(self) -> dict[str, int]:
        """What the order depends on; a run can only resume within an epoch of the same order."""
        return {
            "samples": sum(map(len, self.items)),
            "samples or packs a step": self.items_per_step,
            "data.window": self.window,
            "seed": self.seed,
        }


def deal(num_samples: int, rank: int, num_ranks: int) -> list[list[int]]:
    """One device's samples, one a step, in their own order; the last step may be empty."""
    num_steps = math.ceil(num_samples / num_ranks)
    own = range(rank, num_steps * num_ranks, num_ranks)
    return [[idx] if idx < num_samples else [] for idx in own]


class SelectorDataModule(pl.LightningDataModule):
    """Batches of training and validation samples; a checkpoint holds the place in the epoch.

    Args:
        train_sets: one a data set; their samples are shuffled and, with ``max_tokens``, packed.
        valid_set: its samples are served one a step, in their own order.
        options: size of a step, window of the order, processes that load.
        seed: of the order, and of what is packed together.
    """

    def __init__(
        self,
        train_sets: Sequence[SelectionDataset],
        valid_set: SelectionDataset,
        options: DataOptions,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.train_sets, self.valid_set = train_sets, valid_set
        self.options, self.seed = options, seed
        self._sampler: StepSampler | None = None
        self._resumed: Mapping[str, Any] = {}

    def prepare_data(self) -> None:
        """Encode all expressions that are not in the text cache, in one process."""
        parts = (*self.train_sets, self.valid_set)
        texts = [e.text for part in parts for sample in part.samples for e in sample]
        self.valid_set.text.prepare(texts)

    def train_dataloader(self) -> DataLoader[Any]:
        """This process' part of every step: ``batch_size`` samples, or a pack of them.

        Raises:
            UserError: if the run resumes within an epoch that had another order.
        """
        options = self.options
        items, groups = self._items()
        window = 1 if options.max_tokens else options.window
        self._sampler = StepSampler(
            items, groups, options.batch_size, window, self.seed, self._place()
        )
        if self._resumed.get("steps_done"):
            before, own = self._resumed["order"], self._sampler.description
            if before != own:
                raise UserError(
                    f"ckpt_path: the run stopped within an epoch of the order {before}, this is "
                    f"{own}. Resume with its configuration and devices."
                )
            self._sampler.steps_done[self._resumed["epoch"]] = self._resumed["steps_done"]
        return self._loader(self.train_sets, self._sampler)

    def val_dataloader(self) -> DataLoader[Any]:
        """This process' samples, one a step; empty steps make the processes equal."""
        return self._loader([self.valid_set], deal(len(self.valid_set), *self._place()))

    def state_dict(self) -> dict[str, Any]:
        """The place in the epoch, and what its order depends on."""
        if self.trainer is None or self._sampler is None:
            return {}
        progress = self.trainer.fit_loop.epoch_loop.batch_progress
        return {
            "epoch": self.trainer.current_epoch,
            "steps_done": 0 if progress.is_last_batch else progress.current.ready,
            "order": self._sampler.description,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """The epoch continues from that place."""
        self._resumed = state_dict

    def _items(self) -> tuple[list[Item], list[Hashable]]:
        """Samples and their videos, or packs of samples and the windows that they begin in."""
        samples = [(n, each) for n, part in enumerate(self.train_sets) for each in part.samples]
        videos: list[Hashable] = [(n, sample[0].video_id) for n, sample in samples]
        max_tokens, window = self.options.max_tokens, self.options.window
        if max_tokens is None:
            return [(idx,) for idx in range(len(samples))], videos
        order = draw_order(videos, window=window, seed=self.seed, epoch=0)
        sizes = [self.train_sets[n].num_tokens(sample) for n, sample in samples]
        packs = pack(sizes, max_tokens, order)
        numbers = {video: n for n, video in enumerate(dict.fromkeys(videos[i] for i in order))}
        return packs, [numbers[videos[members[0]]] // window for members in packs]

    def _place(self) -> tuple[int, int]:
        """This process' rank, and the number of processes."""
        if self.trainer is None:
            return 0, 1
        return self.trainer.global_rank, self.trainer.world_size

    def _loader(self, datasets: Sequence[SelectionDataset], steps: Any) -> DataLoader[Any]:
        return _Loader(
            _Batches(datasets),
            batch_sampler=steps,
            num_workers=self.options.num_workers,
            collate_fn=_as_it_is,
            persistent_workers=self.options.num_workers > 0,
            pin_memory=torch.cuda.is_available(),
            # of its own: the numbers that dropout draws depend on the steps only
            generator=torch.Generator().manual_seed(self.seed),
        )


class _Batches(ConcatDataset[Any]):
    """Batches of one or several data sets."""

    def __getitems__(self, indices: Sequence[int]) -> Batch | UserError:
        """A batch; an error is returned, as DataLoader would add the traceback of a worker."""
        try:
            return collate([self[index] for index in indices])
        except UserError as error:
            return UserError(str(error))  # a subclass may not survive the way between processes


class _Loader(DataLoader[Any]):
    """Begins at the first batch: Lightning asks for an iterator before it sets the epoch."""

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]  # its own class is private
        for batch in super().__iter__():
            if isinstance(batch, UserError):
                raise batch
            yield batch


def _as_it_is(batch: Any) -> Any:
    return batch
