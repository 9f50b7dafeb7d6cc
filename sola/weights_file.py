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
"""Errors that torch.load raises beside ``RuntimeError``, ``ValueError`` and ``EOFError``."""

HEAD_BYTES = 512
STAND_INS = (
    (b"version https://git-lfs", "a Git LFS pointer", 'Run "git lfs pull" in the repository'),
    (b"<!doctype html", "an HTML page", "Download the file again, with its direct link"),
    (b"<html", "an HTML page", "Download the file again, with its direct link"),
)
"""First bytes of files saved in place of the right one, what they are, and what to do."""


def read_weights(
    path: Path, *, is_checked: bool = False, remedy: str = "Get the file again."
) -> Any:
    """Return plain values and tensors of a file, on the CPU.

    Args:
        path: the file.
        is_checked: verify the checksums that torch.save writes and torch.load ignores; other
            programs leave them out.
        remedy: what to do if the file is not a checkpoint, a sentence.

    Raises:
        FileRefused: if the system refuses to read it.
        DamagedFile: if it is not a file of torch, is damaged, or would run code.
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
            # without torch's own words, which advise to run the code in the file
            raise Damage("no checkpoint, or one that would run code") from error


def refuse_stand_in(path: Path) -> None:
    """Raise ``DamagedFile`` for a Git LFS pointer or a web page in place of a file.

    Args:
        path: a file, or a folder whose files are all checked.
    """
    for each in find_files(path, "*") if os.path.isdir(path) else [path]:
        with refusals(each), each.open("rb") as file:
            head = file.read(HEAD_BYTES).lstrip().lower()
        for start, kind, remedy in STAND_INS:
            if head.startswith(start):
                raise DamagedFile(f"{each}: is {kind}, not the file itself. {remedy}.")


def _check_zip(opened: IO[bytes], *, is_checked: bool) -> None:
    with zipfile.ZipFile(opened) as file:
        # torch.save never compresses, so a file takes as much memory as it has bytes
        if any(member.compress_type != zipfile.ZIP_STORED for member in file.infolist()):
            raise Damage("compressed, which torch.save never does")
        damaged = file.testzip() if is_checked else None
    if damaged is not None:
        raise Damage(f"{damaged} is not what was written, by its checksum")
