"""Samples of a split and the DataModule that serves them."""

import math
import pickle
from collections.abc import Hashable, Sequence
from typing import Any

import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader, Dataset, get_worker_info

from sola.config.entry_points import DataOptions
from sola.errors import UserError
from sola.evaluation.scores import group_by_video
from sola.evaluation.tracks import entry_of
from sola.text import TextTokens
from sola.training.batch import Batch, Sample, collate
from sola.training.loader import ResumableLoader, TellingLoader
from sola.training.order import Item, StepSampler, deal, draw_order, pack
from sola.training.sources import LabelledTracks
from sola.types import Expression


class SelectionDataset(Dataset[Sample | UserError]):
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
        skip_empty: bool,
        max_tokens: int | None = None,
    ) -> None:
        self.tracks, self.text = tracks, text
        if skip_empty:
            expressions = [e for e in expressions if tracks.num_tracks(e) > 0]
        if by_video and not tracks.sources.is_by_expression:
            groups = group_by_video(expressions).values()
            self.samples = [part for group in groups for part in self._cut(group, max_tokens)]
        else:
            self.samples = [(expression,) for expression in expressions]
        if not self.samples:
            raise UserError(
                f"{tracks.readers[0].tracks_dir}: none of the split's expressions has tracks. "
                "Check the data set, or run generate.py with another prompt_source."
            )

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> Sample | UserError:
        """A sample; of a worker process, also the error to raise in its place."""
        if get_worker_info() is None:
            return self._read(index)
        try:
            return self._read(index)
        except UserError as error:
            return UserError(str(error))  # a subclass may not survive the way between processes

    def _read(self, index: int) -> Sample:
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

    def _cut(
        self, group: Sequence[Expression], max_tokens: int | None
    ) -> list[tuple[Expression, ...]]:
        """Parts of a video's expressions that fit into the budget, of about equal size."""
        if max_tokens is None:
            return [tuple(group)]
        at_most = max(1, max_tokens // max(1, self.num_tokens(group[:1])))
        num_parts = math.ceil(len(group) / at_most)
        return [tuple(group[part::num_parts]) for part in range(num_parts)]

    def reopen(self) -> None:
        """Forgets open files: a worker process must not share them with its parent."""
        self.tracks, self.text = pickle.loads(pickle.dumps((self.tracks, self.text)))


class SelectorDataModule(pl.LightningDataModule):
    """Batches of training and validation samples.

    Validation goes by video where expressions share tracks, whatever training does: an expression's
    score does not depend on it.

    Args:
        train: expressions and tracks of the training split.
        valid: those of the validation split.
        text: gives text tokens; encodes what is new before the first batch.
        config: how samples are made and batched.
        seed: of their order, and of what ``config.max_tokens`` packs together.
    """

    def __init__(
        self,
        train: tuple[Sequence[Expression], LabelledTracks],
        valid: tuple[Sequence[Expression], LabelledTracks],
        text: TextTokens,
        config: DataOptions,
        *,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.text, self.config, self.seed = text, config, seed
        by_video = config.group_by == "video"
        self.train_set = SelectionDataset(
            *train, text, by_video=by_video, skip_empty=True, max_tokens=config.max_tokens
        )
        self.valid_set = SelectionDataset(*valid, text, by_video=True, skip_empty=False)

    def prepare_data(self) -> None:
        """Encodes all expressions that are not in the text cache, in one process."""
        samples = [*self.train_set.samples, *self.valid_set.samples]
        self.text.prepare([e.text for expressions in samples for e in expressions])

    def train_dataloader(self) -> ResumableLoader:
        """This process' part of every step: ``batch_size`` samples, or a pack of them."""
        items, groups = self._items()
        rank, num_ranks = self._place()
        steps = StepSampler(
            items,
            groups,
            batch_size=self.config.batch_size,
            window=1 if self.config.max_tokens else self.config.window,
            seed=self.seed,
            rank=rank,
            num_ranks=num_ranks,
        )
        return ResumableLoader(self.train_set, steps, **self._options())

    def val_dataloader(self) -> DataLoader[Any]:
        """This process' samples, one a step; steps without one make processes equal."""
        steps = deal(len(self.valid_set), *self._place())
        return TellingLoader(self.valid_set, batch_sampler=steps, **self._options())

    def _items(self) -> tuple[list[Item], list[Hashable]]:
        """Samples and their videos, or packs of samples and the windows that they begin in."""
        samples = self.train_set.samples
        videos: list[Hashable] = [expressions[0].video_id for expressions in samples]
        max_tokens, window = self.config.max_tokens, self.config.window
        if max_tokens is None:
            return [(idx,) for idx in range(len(samples))], videos
        order = draw_order(videos, window=window, seed=self.seed, epoch=0)
        sizes = [self.train_set.num_tokens(expressions) for expressions in samples]
        packs = pack(sizes, max_tokens, order)
        numbers = {video: n for n, video in enumerate(dict.fromkeys(videos[i] for i in order))}
        return packs, [numbers[videos[members[0]]] // window for members in packs]

    def _place(self) -> tuple[int, int]:
        """This process' rank, and the number of processes."""
        if self.trainer is None:
            return 0, 1
        return self.trainer.global_rank, self.trainer.world_size

    def _options(self) -> dict[str, Any]:
        num_workers = self.config.num_workers
        return {
            "num_workers": num_workers,
            "collate_fn": _collate,
            "worker_init_fn": _reopen_in_worker,
            "persistent_workers": num_workers > 0,
            "pin_memory": torch.cuda.is_available(),
            # of its own: the numbers that dropout draws depend on the steps alone
            "generator": torch.Generator().manual_seed(self.seed),
        }


def _collate(samples: Sequence[Sample | UserError]) -> Batch | UserError:
    for sample in samples:
        if isinstance(sample, UserError):
            return sample
    return collate([sample for sample in samples if isinstance(sample, Sample)])


def _reopen_in_worker(worker_id: int) -> None:
    info = get_worker_info()
    assert info is not None, f"worker {worker_id} is not in a worker process"
    info.dataset.reopen()  # type: ignore[attr-defined]  # DataLoader forgets what kind it is
