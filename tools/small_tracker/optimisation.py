"""Optimiser, learning rate, gradient averaging over processes, weight averaging."""

import math

import torch
import torch.distributed as dist
from torch import nn

from tools.small_tracker.curriculum import Stage
from tools.small_tracker.heads import TrainingHeads

WARMUP_STEPS = 60
HEADS_LR_SCALE = 3.0
MAX_GRADIENT_NORM = 1.0
AVERAGE_DECAY = 0.998
FINAL_LR_SHARE = 0.03


def make_optimizer(model: nn.Module, heads: TrainingHeads) -> torch.optim.AdamW:
    """Return AdamW with weight decay only on matrices, and larger steps for the training heads."""
    matrices = [p for p in model.parameters() if p.requires_grad and p.ndim > 1]
    vectors = [p for p in model.parameters() if p.requires_grad and p.ndim <= 1]
    groups = [
        {"params": matrices, "weight_decay": 0.01, "lr_scale": 1.0},
        {"params": vectors, "weight_decay": 0.0, "lr_scale": 1.0},
        {"params": list(heads.parameters()), "weight_decay": 0.01, "lr_scale": HEADS_LR_SCALE},
    ]
    return torch.optim.AdamW(groups, betas=(0.9, 0.99), fused=True)


def learning_rate(stage: Stage, stage_step: int, step: int) -> float:
    """Return the learning rate: warm-up, then constant in a stage, or cosine if it decays."""
    rate = stage.lr * min(1.0, (step + 1) / WARMUP_STEPS)
    if stage.is_decayed:
        cosine = 0.5 * (1 + math.cos(math.pi * stage_step / stage.max_steps))
        rate *= cosine * (1 - FINAL_LR_SHARE) + FINAL_LR_SHARE
    return rate


def set_learning_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Set the learning rate of every parameter group, scaled by the group."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group["lr_scale"]


def average_gradients(parameters: list[nn.Parameter]) -> None:
    """Average the gradients over all processes; a missing gradient counts as zero."""
    for parameter in parameters:
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
    if not dist.is_initialized():
        return
    gradients = [parameter.grad for parameter in parameters]
    flat = torch.cat([gradient.flatten() for gradient in gradients if gradient is not None])
    dist.all_reduce(flat)
    flat /= dist.get_world_size()
    start = 0
    for parameter in parameters:
        assert parameter.grad is not None
        parameter.grad.copy_(flat[start : start + parameter.numel()].view_as(parameter))
        start += parameter.numel()


@torch.no_grad()
def update_average(average: nn.Module, model: nn.Module, step: int) -> None:
    """Move the running average of the weights towards the model."""
    decay = min(AVERAGE_DECAY, (1 + step) / (10 + step))
    for kept, current in zip(average.parameters(), model.parameters(), strict=True):
        kept.lerp_(current, 1 - decay)
