"""Choose the device and check the precision of a run. Importing this module imports torch."""

import torch

from sola.checks import one_of
from sola.errors import UserError


def pick_device(accelerator: str) -> torch.device:
    """Return the device of one of Lightning's accelerators: auto, cpu, gpu or cuda.

    Raises:
        UserError: if the accelerator is unknown, or a requested GPU is missing.
    """
    one_of(("auto", "cpu", "gpu", "cuda"), **{"trainer.accelerator": accelerator})
    if accelerator == "cpu" or (accelerator == "auto" and not torch.cuda.is_available()):
        return torch.device("cpu")
    if not torch.cuda.is_available():
        raise UserError(
            f"trainer.accelerator={accelerator}: no CUDA device found. Use trainer=cpu."
        )
    return torch.device("cuda")


def check_precision(precision: str | None, device: torch.device) -> None:
    """Check that the device supports a precision.

    Raises:
        UserError: for 16-mixed on a CPU, where Lightning would compute in bfloat16.
    """
    if precision == "16-mixed" and device.type == "cpu":
        raise UserError(
            "trainer.precision: 16-mixed needs a GPU, this run is on the CPU. Use bf16-mixed or "
            "32-true."
        )
