"""A program: three processes with unequal parts of a step, one of them without any.

    python device_gradients.py <a file that they meet in> <class of the selector>

Ends with status 0 if the mean of their gradients is the gradient of the whole step.
"""

import os
import sys

import torch
import torch.distributed as dist
from small_selectors import make_selector
from test_batching import ALONE, VIDEOS, D, E, make_module

from sola.training.batch import Sample, collate
from sola.training.module import SelectorModule

PARTS: list[list[Sample]] = [[VIDEOS[2], ALONE[0], VIDEOS[1]], [VIDEOS[0]], []]


def work(rank: int, module: SelectorModule) -> None:
    """One process; the first one compares."""
    dist.init_process_group(
        "gloo", init_method=f"file://{sys.argv[1]}", rank=rank, world_size=len(PARTS)
    )
    module.training_step(collate(PARTS[rank]), 0).backward()
    for parameter in module.parameters():
        assert parameter.grad is not None, "other processes would wait for it"
        dist.all_reduce(parameter.grad)
    found = [parameter.grad / len(PARTS) for parameter in module.parameters()]
    dist.destroy_process_group()
    module.zero_grad()
    loss, _ = module.compute(collate([sample for part in PARTS for sample in part]))
    loss["loss"].backward()
    expected = [parameter.grad for parameter in module.parameters()]
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)


def main() -> None:
    """Starts the processes and ends with their worst status."""
    module = make_module(make_selector(sys.argv[2], D, E)).double().eval()
    children = []
    for rank in range(len(PARTS)):
        child = os.fork()
        if child == 0:
            work(rank, module)
            os._exit(0)
        children.append(child)
    sys.exit(max(os.waitpid(child, 0)[1] for child in children) > 0)


if __name__ == "__main__":
    main()
