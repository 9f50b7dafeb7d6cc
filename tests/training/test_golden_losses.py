"""Recorded losses of a few seeded steps: a change of network, losses or optimiser shows here."""

import functools
from typing import Any

import pytest
import torch

from sola.selector import SelectionLoss, TrackSelector
from sola.training.batch import Sample, collate
from sola.training.module import SelectorModule
from sola.types import Expression

GOLDEN_LOSSES = [
    2.4707027120255827,
    2.0856647691644614,
    1.8918146188321736,
    1.7713496068295713,
    1.659973970937962,
]


def random_sample(num_tracks: int, num_frames: int, text_lengths: list[int]) -> Sample:
    return Sample(
        tokens=torch.randn(num_tracks, num_frames, 8, dtype=torch.float64),
        texts=tuple(torch.randn(length, 16, dtype=torch.float64) for length in text_lengths),
        labels=torch.rand(len(text_lengths), num_tracks) < 0.4,
        expressions=tuple(Expression("v", str(idx), "", ()) for idx in range(len(text_lengths))),
    )


def test_seeded_steps_have_the_recorded_losses() -> None:
    torch.manual_seed(42)
    selector = TrackSelector(8, 16, num_negatives=3, num_heads=2).double()
    batch = collate([random_sample(4, 17, [5, 3]), random_sample(2, 9, [4])])
    no_scorer: Any = None  # nothing is validated
    adamw = functools.partial(torch.optim.AdamW, lr=1e-3)
    module = SelectorModule(selector, SelectionLoss(1.5, 0.3, 0.07), adamw, None, no_scorer)
    module.eval()  # dropout draws other numbers on other machines
    optimizer = module.configure_optimizers()

    losses = []
    for _ in GOLDEN_LOSSES:
        loss, _ = module.compute(batch)
        optimizer.zero_grad()
        loss["loss"].backward()
        optimizer.step()
        losses.append(loss["loss"].item())

    assert losses == pytest.approx(GOLDEN_LOSSES, rel=1e-6)
