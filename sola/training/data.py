"""Samples of a split and the DataModule that serves them."""

import pickle
from collections.abc import Sequence

import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader, Dataset, get_worker_info

from sola.config.schema import DataConfig
from sola.evaluation.scores import group_by_video
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
    ) -> None:
        self.tracks, self.text = tracks, text
        if skip_empty:
            expressions = [e for e in expressions if tracks.num_tracks(e) > 0]
        if by_video and not tracks.sources.is_by_expression:
            self.samples = [tuple(group) for group in group_by_video(expressions).values()]
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
    """

    def __init__(
        self,
        train: tuple[Sequence[Expression], LabelledTracks],
        valid: tuple[Sequence[Expression], LabelledTracks],
        text: TextTokens,
        config: DataConfig,
    ) -> None:
        super().__init__()
        self.text, self.config = text, config
        by_video = config.group_by == "video"
        self.train_set = SelectionDataset(*train, text, by_video=by_video, skip_empty=True)
        self.valid_set = SelectionDataset(*valid, text, by_video=True, skip_empty=False)

    def prepare_data(self) -> None:
        """Encodes all expressions that are not in the text cache, in one process."""
        samples = [*self.train_set.samples, *self.valid_set.samples]
        self.text.prepare([e.text for expressions in samples for e in expressions])

    def train_dataloader(self) -> DataLoader[Sample]:
        """Shuffled samples, ``batch_size`` a step."""
        return self._loader(self.train_set, batch_size=self.config.batch_size, shuffle=True)

    def val_dataloader(self) -> DataLoader[Sample]:
        """One sample a step."""
        return self._loader(self.valid_set, batch_size=1, shuffle=False)

    def _loader(
        self, dataset: SelectionDataset, *, batch_size: int, shuffle: bool
    ) -> DataLoader[Sample]:
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
