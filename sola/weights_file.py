"""Reads what torch.save wrote, of whoever: no code in it is run, no memory is taken for lies."""

import pickle
import zipfile
from pathlib import Path
from typing import Any

import torch

from sola.files import Damage

UNREADABLE = (
    pickle.UnpicklingError,
    zipfile.BadZipFile,
    RuntimeError,
    EOFError,
    OSError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
)
"""What torch.load raises of files that are damaged, or that would run code."""


def read_weights(path: Path, *, is_checked: bool = False) -> Any:
    """Plain values and tensors of a file, on the CPU.

    Args:
        path: the file.
        is_checked: compare all of it with the checksums that torch.save writes, and torch.load
            does not look at; other programs leave them out.

    Raises:
        Damage: if it is none of torch's files, damaged, or would have to run code.
    """
    try:
        if zipfile.is_zipfile(path):
            _check_zip(path, is_checked=is_checked)
        return torch.load(path, map_location="cpu", weights_only=True)
    except UNREADABLE as error:
        # without torch's own words, which advise to run the code in the file
        raise Damage(f"{path}: not readable without running code") from error


def _check_zip(path: Path, *, is_checked: bool) -> None:
    with zipfile.ZipFile(path) as file:
        # torch.save never compresses: unpacked, a file takes as much memory as it has bytes
        if any(member.compress_type != zipfile.ZIP_STORED for member in file.infolist()):
            raise Damage(f"{path}: is compressed, which torch.save never does")
        damaged = file.testzip() if is_checked else None
        if damaged is not None:
            raise Damage(f"{path}: {damaged} is not what was written, by its checksum")
