"""Load untrusted checkpoints safely."""

import os
import pickle
import zipfile
from pathlib import Path
from typing import IO, Any

import torch

from sola.errors import DamagedFile
from sola.files import Damage, find_files, readable, refusals

_UNREADABLE = (pickle.UnpicklingError, zipfile.BadZipFile, LookupError, TypeError, AttributeError)
"""Errors that torch.load raises besides ``RuntimeError``, ``ValueError`` and ``EOFError``."""

HEAD_BYTES = 512
STAND_INS = (
    (b"version https://git-lfs", "a Git LFS pointer", 'Run "git lfs pull" in the repository'),
    (b"<!doctype html", "an HTML page", "Download the file again, with its direct link"),
    (b"<html", "an HTML page", "Download the file again, with its direct link"),
)
"""(first bytes, kind, remedy) of files that are often saved in place of the right one."""


def read_weights(
    path: Path, *, is_checked: bool = False, remedy: str = "Get the file again."
) -> Any:
    """Return the plain values and tensors of a file, on the CPU.

    Args:
        path: the file.
        is_checked: whether to verify the checksums that torch.save writes and torch.load ignores;
            other programs do not write them.
        remedy: sentence that says what to do if the file is not a checkpoint.

    Raises:
        FileRefused: if the system refuses to read it.
        DamagedFile: if it is not a torch file, is damaged, or would run code.
    """
    refuse_stand_in(path)
    with readable(path, remedy), path.open("rb") as file:
        try:
            if file.peek(2).startswith(b"PK"):
                _check_zip(file, is_checked=is_checked)
                file.seek(0)
            return torch.load(file, map_location="cpu", weights_only=True)
        except Damage:
            raise
        except (*_UNREADABLE, RuntimeError, ValueError, EOFError) as error:
            # without torch's message, which advises to run the code in the file
            raise Damage("not a checkpoint, or one that would run code") from error


def refuse_stand_in(path: Path) -> None:
    """Raise ``DamagedFile`` for a Git LFS pointer or a web page in place of a file.

    Args:
        path: a file, or a folder to check with all its files.
    """
    for each in find_files(path, "*") if os.path.isdir(path) else [path]:
        with refusals(each), each.open("rb") as file:
            head = file.read(HEAD_BYTES).lstrip().lower()
        for start, kind, remedy in STAND_INS:
            if head.startswith(start):
                raise DamagedFile(f"{each}: is {kind}, not the file itself. {remedy}.")


def _check_zip(opened: IO[bytes], *, is_checked: bool) -> None:
    with zipfile.ZipFile(opened) as file:
        # torch.save never compresses, so a file cannot take more memory than it has bytes
        if any(member.compress_type != zipfile.ZIP_STORED for member in file.infolist()):
            raise Damage("compressed, which torch.save never does")
        damaged = file.testzip() if is_checked else None
    if damaged is not None:
        raise Damage(f"{damaged} is not what was written, by its checksum")
