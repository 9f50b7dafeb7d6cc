"""Copies between host and GPU for which the host does not wait."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import torch
import torch.nn.functional as F
from torch import Tensor

from sola.masks import encode, encode_changes
from sola.types import Masklet


def upload(values: Tensor, device: torch.device) -> Tensor:
    """Return values of the host on a device; the copy to a GPU goes through pinned memory."""
    return values.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else values


class MaskCoder:
    """Encodes masks as run lengths; those on a GPU in a thread, while the GPU goes on.

    Use it as a context manager: the thread ends with it.
    """

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(max_workers=1)  # starts with its first task

    def __enter__(self) -> "MaskCoder":
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.shutdown()

    def encode(self, masks: Tensor) -> Callable[[], Masklet]:
        """Return a function that waits for the n codes of masks (n, H, W) bool."""
        height, width = masks.shape[1:]
        if not masks.is_cuda:
            codes = encode(masks.numpy())
            return lambda: codes
        changes = _pack_changes(masks).to("cpu", non_blocking=True)  # torch pins the target
        copied = torch.cuda.Event(blocking=True)
        copied.record(torch.cuda.current_stream(masks.device))

        def finish() -> Masklet:
            copied.synchronize()
            return encode_changes(changes.numpy(), (height, width))

        return self._thread.submit(finish).result


def _pack_changes(masks: Tensor) -> Tensor:
    """Return the changes of masks (n, H, W) as ``encode_changes`` takes them, one bit a pixel."""
    columns = masks.view(torch.uint8).transpose(1, 2).flatten(1)  # (n, H, W) -> (n, W * H)
    changes = columns ^ F.pad(columns, (1, -1))
    padded = F.pad(changes, (0, -columns.shape[1] % 64)).unflatten(1, (-1, 8))
    values = 128 >> torch.arange(8, device=masks.device)
    return (padded * values.to(torch.uint8)).sum(dim=2, dtype=torch.uint8)
