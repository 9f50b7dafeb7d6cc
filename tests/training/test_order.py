"""An epoch's order, its windows, and how it is dealt to devices."""

import itertools
import math
from collections import Counter
from typing import Any

import hypothesis.strategies as st
from hypothesis import given, settings

from sola.training.data import StepSampler, deal, draw_order, pack

VIDEOS = st.lists(st.integers(0, 12), min_size=1, max_size=60)
COUNT = st.integers(1, 9)


def make_sampler(videos: list[int], **changes: Any) -> StepSampler:
    items = [(idx,) for idx in range(len(videos))]
    values = {"batch_size": 1, "window": 3, "seed": 0} | changes
    return StepSampler(items, videos, **values)


def steps_of(sampler: StepSampler, epoch: int) -> list[list[int]]:
    sampler.set_epoch(epoch)
    return list(sampler)


@given(VIDEOS, COUNT, COUNT, COUNT, st.integers(0, 5))
@settings(max_examples=300)
def test_devices_see_the_samples_of_one_with_a_larger_batch(
    videos: list[int], num_ranks: int, batch_size: int, window: int, epoch: int
) -> None:
    ranks = [
        make_sampler(videos, batch_size=batch_size, window=window, place=(rank, num_ranks))
        for rank in range(num_ranks)
    ]
    alone = make_sampler(videos, batch_size=batch_size * num_ranks, window=window)

    dealt = [steps_of(rank, epoch) for rank in ranks]
    whole = steps_of(alone, epoch)

    assert {len(steps) for steps in dealt} == {len(whole)} == {len(alone)}
    for own, union in zip(zip(*dealt, strict=True), whole, strict=True):
        assert sorted(itertools.chain(*own)) == sorted(union)
        sizes = [len(part) for part in own]
        assert max(sizes) <= batch_size
        assert max(sizes) - min(sizes) <= 1
    assert sorted(itertools.chain(*whole)) == list(range(len(videos)))


@given(VIDEOS, COUNT, COUNT)
def test_pass_that_starts_later_is_the_rest_of_the_whole(
    videos: list[int], batch_size: int, start: int
) -> None:
    sampler = make_sampler(videos, batch_size=batch_size, place=(0, 2))
    whole = steps_of(sampler, 1)
    sampler.steps_done[1] = start
    assert steps_of(sampler, 1) == whole[start:]


@given(VIDEOS, COUNT)
def test_window_has_all_samples_of_its_videos(videos: list[int], window: int) -> None:
    order = [videos[idx] for idx in draw_order(videos, window=window, seed=1, epoch=0)]

    counts = Counter(videos)
    while order:
        size = 0
        chosen: set[int] = set()
        while size < len(order) and (len(chosen) < window or order[size] in chosen):
            chosen.add(order[size])
            size += 1
        # all of the window's first videos, nothing else: each is over with it
        assert size == sum(counts[video] for video in chosen)
        order = order[size:]


def test_orders_are_those_of_the_seed_and_the_epoch() -> None:
    videos = [idx // 5 for idx in range(200)]
    orders = [
        draw_order(videos, window=4, seed=seed, epoch=epoch) for seed in (1, 2) for epoch in (0, 1)
    ]
    assert orders[0] == draw_order(videos, window=4, seed=1, epoch=0)
    assert len({tuple(order) for order in orders}) == 4
    neighbours = sum(videos[a] == videos[b] for a, b in zip(orders[0], orders[0][1:], strict=False))
    assert neighbours < 80  # of one video after the other: about 4 in 19, not 4 in 5


@given(st.integers(1, 40), st.integers(1, 9))
def test_validation_is_dealt_once_and_in_equally_many_steps(
    num_samples: int, num_ranks: int
) -> None:
    dealt = [deal(num_samples, rank, num_ranks) for rank in range(num_ranks)]
    assert {len(steps) for steps in dealt} == {math.ceil(num_samples / num_ranks)}
    assert sorted(idx for steps in dealt for step in steps for idx in step) == list(
        range(num_samples)
    )


@given(st.lists(st.integers(0, 20), min_size=1, max_size=40))
def test_packs_hold_everything_once_and_at_most_the_budget(sizes: list[int]) -> None:
    order = draw_order(range(len(sizes)), window=3, seed=1, epoch=0)

    packs = pack(sizes, 10, order)

    assert sorted(idx for found in packs for idx in found) == list(range(len(sizes)))
    assert all(sum(sizes[idx] for idx in found) <= 10 for found in packs if len(found) > 1)
    assert list(itertools.chain(*packs)) == order
