"""Learning rate schedules, in the form that Lightning takes."""

import inspect
import math
from collections.abc import Callable
from typing import Any

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, LinearLR, ReduceLROnPlateau

from sola.checks import at_least
from sola.config.targets import Later, locate
from sola.errors import UserError

VALID_LOSS = "valid/loss"


def make_schedules(
    scheduler: Callable[..., Any], optimizer: Optimizer, num_steps: int
) -> list[dict[str, Any]]:
    """The learning rate schedules of a run, as Lightning takes them.

    A function that takes ``num_steps``, the optimiser steps of the run, is given them. One that
    returns Lightning's dictionaries says itself when it is stepped; a schedule of torch is stepped
    after every epoch, ReduceLROnPlateau after every validation with ``valid/loss``.

    Args:
        scheduler: optimiser -> schedule; a node of the group scheduler, or any function.
        optimizer: whose learning rate is scheduled.
        num_steps: of the whole run.
    """
    target = scheduler
    if isinstance(scheduler, Later):
        target = locate(scheduler.node["_target_"], scheduler.key)
    takes_steps = "num_steps" in inspect.signature(target).parameters
    built = scheduler(optimizer, **({"num_steps": num_steps} if takes_steps else {}))
    if isinstance(built, ReduceLROnPlateau):
        built = _on_validation(built)
    if isinstance(built, list):
        return built
    return [built if isinstance(built, dict) else {"scheduler": built, "interval": "epoch"}]


def plateau(
    optimizer: Optimizer, factor: float = 0.5, patience: int = 5, warmup_steps: int = 0
) -> list[dict[str, Any]]:
    """The learning rate times ``factor`` when the validation loss stalls.

    Args:
        optimizer: whose learning rate is scheduled.
        factor: in (0, 1).
        patience: validations without a lower loss before that.
        warmup_steps: optimiser steps of a linear rise to the learning rate; 0: none.

    Raises:
        UserError: if a value is out of range.
    """
    at_least(0, patience=patience, warmup_steps=warmup_steps)
    if not 0 < factor < 1:
        raise UserError(f"factor: must be between 0 and 1, got {factor}.")
    schedules = [_on_validation(ReduceLROnPlateau(optimizer, factor=factor, patience=patience))]
    if warmup_steps:
        warmup = LinearLR(optimizer, start_factor=1 / (warmup_steps + 1), total_iters=warmup_steps)
        schedules.append({"scheduler": warmup, "interval": "step"})
    return schedules


def cosine(optimizer: Optimizer, num_steps: int, warmup_steps: int = 0) -> dict[str, Any]:
    """Half a cosine, to zero at the end of the run.

    Args:
        optimizer: whose learning rate is scheduled.
        num_steps: optimiser steps of the whole run.
        warmup_steps: optimiser steps of a linear rise to the learning rate; 0: none.

    Raises:
        UserError: if a value is out of range.
    """
    at_least(0, warmup_steps=warmup_steps)

    def factor(step: int) -> float:
        if step < warmup_steps:
            return (step + 1) / (warmup_steps + 1)
        done = (step - warmup_steps) / max(num_steps - warmup_steps, 1)
        return 0.5 * (1 + math.cos(math.pi * min(done, 1.0)))

    return {"scheduler": LambdaLR(optimizer, factor), "interval": "step"}


def _on_validation(scheduler: ReduceLROnPlateau) -> dict[str, Any]:
    return {"scheduler": scheduler, "interval": "epoch", "monitor": VALID_LOSS, "strict": False}
