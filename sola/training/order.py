"""The order of an epoch: random, friendly to disk, sharded without drops or repeats."""

import math
from collections.abc import Hashable, Iterator, Sequence

import numpy as np
from torch.utils.data import Sampler

Item = tuple[int, ...]
"""Samples that a device always sees in the same step: one, or a pack of them."""


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
        rank: of the device.
        num_ranks: how many devices there are.
    """

    def __init__(
        self,
        items: Sequence[Item],
        groups: Sequence[Hashable],
        *,
        batch_size: int,
        window: int,
        seed: int,
        rank: int = 0,
        num_ranks: int = 1,
    ) -> None:
        self.items, self.groups, self.window, self.seed = items, groups, window, seed
        self.rank, self.num_ranks = rank, num_ranks
        self.items_per_step = batch_size * num_ranks
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
