"""However samples are batched, a step has the mean of the losses that they have alone."""

import pytest
import torch
from small_selectors import SMALL, make_selector
from torch import Tensor

from sola.selector import SelectionLoss, Selector
from sola.training.batch import Sample, collate
from sola.training.module import SelectorModule
from sola.types import Expression

D, E = 8, 16
EXACT = {"rtol": 1e-10, "atol": 1e-10}
SIZES = {"a": (3, 9, 3), "empty": (0, 9, 2), "b": (5, 17, 2), "c": (3, 9, 1)}
"""Tracks, frames and expressions of each video."""


def make_video(name: str) -> Sample:
    num_tracks, num_frames, num_texts = SIZES[name]
    torch.manual_seed(len(name) + 10 * num_tracks + num_texts)
    return Sample(
        tokens=torch.randn(num_tracks, num_frames, D).double(),
        texts=tuple(torch.randn(3 + idx, E).double() for idx in range(num_texts)),
        labels=torch.rand(num_texts, num_tracks) < 0.4,
        expressions=tuple(Expression(name, str(idx), "", ()) for idx in range(num_texts)),
    )


def by_expression(video: Sample) -> list[Sample]:
    rows = zip(video.texts, video.labels, video.expressions, strict=True)
    return [Sample(video.tokens, (text,), own[None], (name,)) for text, own, name in rows]


VIDEOS = [make_video(name) for name in SIZES]
ALONE = [sample for video in VIDEOS for sample in by_expression(video)]
BATCHES = {
    "one expression": ALONE[:1],
    "one video": VIDEOS[:1],
    "expressions packed": ALONE,
    "videos packed": VIDEOS,
    "videos and expressions": [VIDEOS[2], *by_expression(VIDEOS[0]), VIDEOS[1]],
    "no tracks": VIDEOS[1:2],
}


def make_module(selector: Selector) -> SelectorModule:
    return SelectorModule(selector, SelectionLoss(1.5, 0.3, 0.07), torch.optim.AdamW, None, None)


@pytest.fixture(params=SMALL)
def module(request: pytest.FixtureRequest) -> SelectorModule:
    return make_module(make_selector(request.param, D, E)).double().eval()


def loss_and_gradients(module: SelectorModule, samples: list[Sample]) -> tuple[Tensor, Tensor]:
    module.zero_grad()
    loss, _ = module.compute(collate(samples))
    if loss["loss"].requires_grad:
        loss["loss"].backward()
    parts = [torch.zeros_like(p) if p.grad is None else p.grad for p in module.parameters()]
    return loss["loss"].detach(), torch.cat([part.flatten() for part in parts])


@pytest.mark.parametrize("samples", BATCHES.values(), ids=BATCHES)
def test_step_has_mean_loss_and_gradient_of_its_expressions_with_tracks(
    module: SelectorModule, samples: list[Sample]
) -> None:
    loss, gradients = loss_and_gradients(module, samples)

    alone = [part for sample in samples for part in by_expression(sample) if len(sample.tokens)]
    found = [loss_and_gradients(module, [part]) for part in alone]
    mean_loss = sum((own for own, _ in found), torch.zeros(())) / max(len(found), 1)
    mean_gradients = sum((own for _, own in found), torch.zeros(())) / max(len(found), 1)
    torch.testing.assert_close(loss, mean_loss.double(), **EXACT)
    torch.testing.assert_close(gradients, mean_gradients.double().expand_as(gradients), **EXACT)
    assert (loss > 0) == bool(alone)


@pytest.mark.parametrize("samples", BATCHES.values(), ids=BATCHES)
def test_batch_does_not_change_scores(module: SelectorModule, samples: list[Sample]) -> None:
    _, logits = module.compute(collate(samples))

    alone = [part for sample in samples for part in by_expression(sample)]
    for row, part in zip(logits, alone, strict=True):
        expected = module.compute(collate([part]))[1][0]
        torch.testing.assert_close(row[: len(expected)], expected, **EXACT)


def test_process_without_samples_takes_part_with_zero_gradients(module: SelectorModule) -> None:
    module.training_step(collate([]), 0).backward()
    gradients = [p.grad for p in module.parameters()]
    assert all(gradient is not None and not gradient.any() for gradient in gradients)
    places = {gradient.data_ptr() for gradient in gradients if gradient is not None}
    assert len(places) == len(gradients), "a sum over processes would write one into another"
