import math

import pytest
import torch

from tools.small_tracker.losses import (
    class_loss,
    geometry,
    halve,
    mask_loss,
    presence_loss,
    weighted_mean,
)


def square(x: int, y: int, side: int, size: int = 32) -> torch.Tensor:
    mask = torch.zeros(1, 1, size, size)
    mask[:, :, y : y + side, x : x + side] = 1
    return mask


def test_right_mask_costs_less_than_any_other_and_overlaps_fully() -> None:
    target = halve(square(8, 8, 16))
    right = (halve(halve(square(8, 8, 16))) * 2 - 1) * 20
    others = torch.zeros_like(target)
    good = mask_loss(right, target, others, 3.0)
    shifted = mask_loss(right.roll(2, -1), target, others, 3.0)
    empty = mask_loss(torch.full_like(right, -20.0), target, others, 3.0)
    assert good.loss.item() < shifted.loss.item() < empty.loss.item()
    assert good.iou.item() > 0.9
    assert empty.iou.item() == 0


def test_answering_another_object_costs_more_than_answering_background() -> None:
    target, other = halve(square(0, 0, 8)), halve(square(16, 16, 8))
    both = (halve(halve(square(0, 0, 8) + square(16, 16, 8))) * 2 - 1) * 20
    plain = mask_loss(both, target, torch.zeros_like(other), 3.0)
    weighted = mask_loss(both, target, other, 3.0)
    assert weighted.loss.item() > plain.loss.item()


def test_geometry_of_a_quarter_is_its_centre_and_area() -> None:
    x, y, area = geometry(square(16, 0, 16)[0, 0]).tolist()
    assert (x, y) == pytest.approx((0.5 - 1 / 32, -0.5 - 1 / 32))
    assert area == pytest.approx(8 / 4)


def test_geometry_of_an_empty_mask_is_finite() -> None:
    assert torch.isfinite(geometry(torch.zeros(2, 8, 8))).all()


def test_mean_without_weight_is_zero() -> None:
    assert weighted_mean(torch.ones(3), torch.zeros(3)).item() == 0


def test_class_loss_ignores_entries_of_weight_zero() -> None:
    logits = torch.tensor([[[0.0, 0.0], [9.0, -9.0]]])
    classes, weight = torch.tensor([[0, 1]]), torch.tensor([[1.0, 0.0]])
    loss, accuracy = class_loss(logits, classes, weight)
    assert loss.item() == pytest.approx(math.log(2))
    assert accuracy.item() == 1


def test_weight_of_missed_absences_is_configurable() -> None:
    logits = torch.tensor([[0.0], [0.0]])
    present, absent = torch.tensor([1.0, 1.0]), torch.tensor([1.0, 0.0])
    assert presence_loss(logits, present, 3.0).item() == pytest.approx(2 * math.log(2))
    assert presence_loss(logits, absent, 3.0).item() == pytest.approx(4 * math.log(2))
