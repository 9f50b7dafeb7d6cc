"""Order of the samples in an epoch, and the DataModule that serves them."""

import math
from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from torch.utils.data import ConcatDataset, DataLoader, Sampler

from sola.errors import UserError
from sola.training.batch import Batch, collate
from sola.training.samples import SelectionDataset

Item = tuple[int, ...]
"""Indices of samples that a rank gets in the same step: one sample, or a pack."""


def draw_order(groups: Sequence[Hashable], *, window: int, seed: int, epoch: int) -> list[int]:
    """Return all positions in a random order that keeps the positions of a group close together.

    Groups are shuffled and cut into windows; the positions of a window are shuffled.

    Args:
        groups: group of each position, such as the video of each sample.
        window: number of groups in a window.
        seed: seed of the run.
        epoch: number of the epoch; every epoch has another order.
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
    """Divide all positions into packs whose sizes add up to at most ``max_tokens``.

    Args:
        sizes: size of each position.
        max_tokens: largest size of a pack; a position of a larger size gets a pack of its own.
        order: order of the positions in which packs are filled.
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
    """Yields one rank's samples for each step of an epoch.

    They depend only on the arguments and the epoch. A step takes ``batch_size`` items per rank,
    assigned to the ranks in turn, so all ranks together see what one rank with ``num_ranks`` times
    the batch size sees. In the last step some ranks may get fewer items, or none: an empty list.

    Args:
        items: items, each seen once per epoch.
        groups: group of each item, see ``draw_order``.
        batch_size: items per step and rank.
        window: see ``draw_order``.
        seed: seed of the run.
        place: (rank, number of ranks).
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
        self.sampler = self  # Lightning looks for ``set_epoch`` here
        self.epoch = 0
        self.steps_done: dict[int, int] = {}
        """Epoch -> number of its steps that a resumed run skips."""

    def __len__(self) -> int:
        """Return the number of steps of a whole epoch, the same on every rank."""
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
        """Values that decide the order; resuming within an epoch requires the same values."""
        return {
            "samples": sum(map(len, self.items)),
            "samples or packs a step": self.items_per_step,
            "data.window": self.window,
            "seed": self.seed,
        }


def deal(num_samples: int, rank: int, num_ranks: int) -> list[list[int]]:
    """Return one rank's samples, one per step, in their original order; the last may be empty."""
    num_steps = math.ceil(num_samples / num_ranks)
    own = range(rank, num_steps * num_ranks, num_ranks)
    return [[idx] if idx < num_samples else [] for idx in own]


class SelectorDataModule(pl.LightningDataModule):
    """Serves batches of training and validation samples; checkpoints hold its position.

    Args:
        train_sets: one per data set; their samples are shuffled and, with ``max_tokens``, packed.
        valid_set: its samples are served one per step, in their original order.
        batch_size: samples per step and rank.
        max_tokens: instead of batch_size, pack samples up to this number of object tokens.
        window: number of videos whose samples are shuffled together.
        num_workers: number of processes per rank that load samples.
        seed: seed of the order and of the packs.
    """

    def __init__(
        self,
        train_sets: Sequence[SelectionDataset],
        valid_set: SelectionDataset,
        *,
        batch_size: int = 1,
        max_tokens: int | None = None,
        window: int = 32,
        num_workers: int = 0,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.train_sets, self.valid_set = train_sets, valid_set
        self.batch_size, self.max_tokens, self.window = batch_size, max_tokens, window
        self.num_workers, self.seed = num_workers, seed
        self._sampler: StepSampler | None = None
        self._resumed: Mapping[str, Any] = {}

    def prepare_data(self) -> None:
        """Encode all expressions that are missing from the text cache, in one process."""
        parts = (*self.train_sets, self.valid_set)
        texts = [e.text for part in parts for sample in part.samples for e in sample]
        self.valid_set.text.prepare(texts)

    def train_dataloader(self) -> DataLoader[Any]:
        """Return this rank's part of every step: ``batch_size`` samples, or packs of samples.

        Raises:
            UserError: if the run resumes within an epoch that had another order.
        """
        items, groups = self._items()
        window = 1 if self.max_tokens else self.window
        self._sampler = StepSampler(
            items, groups, self.batch_size, window, self.seed, self._place()
        )
        if self._resumed.get("steps_done"):
            before, own = self._resumed["order"], self._sampler.description
            if before != own:
                raise UserError(
                    f"ckpt_path: the run stopped within an epoch with {before}, this run has "
                    f"{own}. Resume with its configuration and devices."
                )
            self._sampler.steps_done[self._resumed["epoch"]] = self._resumed["steps_done"]
        return self._loader(self.train_sets, self._sampler)

    def val_dataloader(self) -> DataLoader[Any]:
        """Return this rank's samples, one per step; empty steps give all ranks the same number."""
        return self._loader([self.valid_set], deal(len(self.valid_set), *self._place()))

    def state_dict(self) -> dict[str, Any]:
        """Return the position in the epoch, and what decides its order."""
        if self.trainer is None or self._sampler is None:
            return {}
        progress = self.trainer.fit_loop.epoch_loop.batch_progress
        return {
            "epoch": self.trainer.current_epoch,
            "steps_done": 0 if progress.is_last_batch else progress.current.ready,
            "order": self._sampler.description,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue the epoch from a saved position."""
        self._resumed = state_dict

    def _items(self) -> tuple[list[Item], list[Hashable]]:
        """Return the items and their groups.

        These are samples and their videos, or packs and the windows of their first samples.
        """
        samples = [(n, each) for n, part in enumerate(self.train_sets) for each in part.samples]
        videos: list[Hashable] = [(n, sample[0].video_id) for n, sample in samples]
        if self.max_tokens is None:
            return [(idx,) for idx in range(len(samples))], videos
        order = draw_order(videos, window=self.window, seed=self.seed, epoch=0)
        sizes = [self.train_sets[n].num_tokens(sample) for n, sample in samples]
        packs = pack(sizes, self.max_tokens, order)
        numbers = {video: n for n, video in enumerate(dict.fromkeys(videos[i] for i in order))}
        return packs, [numbers[videos[members[0]]] // self.window for members in packs]

    def _place(self) -> tuple[int, int]:
        """Return this process's rank, and the number of ranks."""
        if self.trainer is None:
            return 0, 1
        return self.trainer.global_rank, self.trainer.world_size

    def _uses_gpu(self) -> bool:
        return self.trainer is not None and self.trainer.strategy.root_device.type == "cuda"

    def _loader(self, datasets: Sequence[SelectionDataset], steps: Any) -> DataLoader[Any]:
        return _Loader(
            _Batches(datasets),
            batch_sampler=steps,
            num_workers=self.num_workers,
            collate_fn=_as_it_is,
            persistent_workers=self.num_workers > 0,
            pin_memory=self._uses_gpu(),
            # a generator of its own, so that dropout's random numbers depend only on the step
            generator=torch.Generator().manual_seed(self.seed),
        )


class _Batches(ConcatDataset[Any]):
    """Makes batches from one or several data sets."""

    def __getitems__(self, indices: Sequence[int]) -> Batch | UserError:
        """Return a batch, or the error: raised, DataLoader would add a worker's traceback to it."""
        try:
            return collate([self[index] for index in indices])
        except UserError as error:
            return UserError(str(error))  # a subclass may not survive pickling


class _Loader(DataLoader[Any]):
    """Starts its iterator at the first batch: Lightning asks for it before it sets the epoch."""

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]  # its own class is private
        for batch in super().__iter__():
            if isinstance(batch, UserError):
                raise batch
            yield batch


def _as_it_is(batch: Any) -> Any:
    return batch
