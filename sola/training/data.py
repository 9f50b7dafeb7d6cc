"""Samples of a split and the DataModule that serves them."""

import math
import pickle
from collections.abc import Sequence
from typing import Any

import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader, Dataset, get_worker_info

from sola.config.schema import DataConfig
from sola.evaluation.scores import group_by_video
from sola.evaluation.tracks import entry_of
from sola.text import TextTokens
from sola.training.batch import Sample, collate
from sola.training.sources import LabelledTracks
from sola.types import Expression


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
        ValueError: if no sample is left.
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
            raise ValueError(
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


class PackedSamples(Dataset[list[Sample]]):
    """Samples in packs of at most ``max_tokens`` object tokens, each of them a step.

    Which samples are together is drawn once, by the seed; a larger one is alone. So an epoch has
    the same number of steps every time, and packs are shuffled and dealt to devices as samples are.
    """

    def __init__(self, samples: SelectionDataset, max_tokens: int, *, seed: int) -> None:
        self.samples = samples
        sizes = [samples.num_tokens(expressions) for expressions in samples.samples]
        self.packs = pack(sizes, max_tokens, seed=seed)

    def __len__(self) -> int:
        return len(self.packs)

    def __getitem__(self, index: int) -> list[Sample]:
        return [self.samples[idx] for idx in self.packs[index]]

    def reopen(self) -> None:
        """See ``SelectionDataset.reopen``."""
        self.samples.reopen()


def pack(sizes: Sequence[int], max_tokens: int, *, seed: int) -> list[list[int]]:
    """Every index once, in packs whose sizes add up to at most ``max_tokens``.

    Args:
        sizes: of the things to pack.
        max_tokens: a size beyond it has a pack of its own.
        seed: of the order in which packs are filled.
    """
    order = torch.randperm(len(sizes), generator=torch.Generator().manual_seed(seed)).tolist()
    packs: list[list[int]] = []
    room = -1
    for idx in order:
        if sizes[idx] > room:
            packs.append([])
            room = max_tokens
        packs[-1].append(idx)
        room -= sizes[idx]
    return packs


class SelectorDataModule(pl.LightningDataModule):
    """Batches of training and validation samples.

    Validation goes by video where expressions share tracks, whatever training does: an expression's
    score does not depend on it.

    Args:
        train: expressions and tracks of the training split.
        valid: those of the validation split.
        text: gives text tokens; encodes what is new before the first batch.
        config: how samples are made and batched.
        seed: of what ``config.max_tokens`` packs together.
    """

    def __init__(
        self,
        train: tuple[Sequence[Expression], LabelledTracks],
        valid: tuple[Sequence[Expression], LabelledTracks],
        text: TextTokens,
        config: DataConfig,
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

    def train_dataloader(self) -> DataLoader[Any]:
        """Shuffled samples, ``batch_size`` a step, or shuffled packs of them."""
        if self.config.max_tokens is None:
            return self._loader(self.train_set, batch_size=self.config.batch_size, shuffle=True)
        packs = PackedSamples(self.train_set, self.config.max_tokens, seed=self.seed)
        return self._loader(packs, batch_size=None, shuffle=True)

    def val_dataloader(self) -> DataLoader[Any]:
        """One sample a step."""
        return self._loader(self.valid_set, batch_size=1, shuffle=False)

    def _loader(
        self, dataset: Dataset[Any], *, batch_size: int | None, shuffle: bool
    ) -> DataLoader[Any]:
        num_workers = self.config.num_workers
        return DataLoader(
            dataset,
            batch_size=batch_size,
            shuffle=shuffle,
            num_workers=num_workers,
            collate_fn=collate,
            worker_init_fn=_reopen_in_worker,
            persistent_workers=num_workers > 0,
            pin_memory=torch.cuda.is_available(),
        )


def _reopen_in_worker(worker_id: int) -> None:
    info = get_worker_info()
    assert info is not None, f"worker {worker_id} is not in a worker process"
    info.dataset.reopen()  # type: ignore[attr-defined]  # DataLoader forgets what kind it is
