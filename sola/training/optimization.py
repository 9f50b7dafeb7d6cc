"""Optimiser and learning rate schedules of a run."""

import functools
import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR, LinearLR, ReduceLROnPlateau

from sola.config.schema import OptimizerConfig
from sola.errors import UserError

SCHEDULES = ("plateau", "cosine")


def make_optimizer(
    parameters: Iterable[nn.Parameter], config: OptimizerConfig, *, is_mixed: bool = False
) -> torch.optim.Optimizer:
    """AdamW over all parameters.

    Args:
        parameters: to optimise.
        config: learning rate and weight decay.
        is_mixed: for mixed precision, under which Lightning cannot clip gradients for the fused
            implementation.
    """
    return torch.optim.AdamW(
        parameters, lr=config.lr, weight_decay=config.weight_decay, fused=not is_mixed
    )


def make_schedules(
    optimizer: torch.optim.Optimizer,
    config: OptimizerConfig,
    *,
    num_steps: int,
    monitor: str,
) -> list[dict[str, Any]]:
    """Schedules as Lightning takes them.

    Args:
        optimizer: whose learning rate is scheduled.
        config: schedule and warm-up.
        num_steps: optimiser steps of the whole run.
        monitor: logged value that the plateau schedule watches (lower is better).

    Raises:
        UserError: if the schedule is not known.
    """
    if config.schedule == "cosine":
        factor = functools.partial(
            _cosine_factor, warmup_steps=config.warmup_steps, num_steps=num_steps
        )
        return [{"scheduler": LambdaLR(optimizer, factor), "interval": "step"}]
    if config.schedule != "plateau":
        raise UserError(
            f"optimizer.schedule={config.schedule}: not known; choose one of {SCHEDULES}."
        )
    plateau = ReduceLROnPlateau(
        optimizer, factor=config.plateau_factor, patience=config.plateau_patience
    )
    schedules: list[dict[str, Any]] = [
        {"scheduler": plateau, "interval": "epoch", "monitor": monitor, "strict": False}
    ]
    if config.warmup_steps:
        start = 1 / (config.warmup_steps + 1)
        warmup = LinearLR(optimizer, start_factor=start, total_iters=config.warmup_steps)
        schedules.append({"scheduler": warmup, "interval": "step"})
    return schedules


def _cosine_factor(step: int, *, warmup_steps: int, num_steps: int) -> float:
    """Share of the learning rate at a step: a straight line up, then half a cosine to zero."""
    if step < warmup_steps:
        return (step + 1) / (warmup_steps + 1)
    done = (step - warmup_steps) / max(num_steps - warmup_steps, 1)
    return 0.5 * (1 + math.cos(math.pi * min(done, 1.0)))
