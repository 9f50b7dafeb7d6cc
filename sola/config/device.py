"""The device that a configuration asks for; torch is loaded by whoever imports this module."""

import torch

from sola.errors import UserError


def pick_device(accelerator: str) -> torch.device:
    """The device that lightning's name for an accelerator means: auto, cpu, gpu or cuda.

    Raises:
        UserError: if a GPU is asked for and none is there.
    """
    if accelerator == "cpu" or (accelerator == "auto" and not torch.cuda.is_available()):
        return torch.device("cpu")
    if not torch.cuda.is_available():
        raise UserError(
            f"trainer.accelerator={accelerator}: no CUDA device is here. Say trainer=cpu."
        )
    return torch.device("cuda")
