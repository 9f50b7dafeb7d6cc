"""Find weights files, and load untrusted ones safely."""

import os
import pickle
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from sola.errors import DamagedFile, UserError
from sola.files import Damage, find_files, readable, refusals
from sola.hub import HUB, MODEL_FILES, find_weights, is_on_hub

_UNREADABLE = (pickle.UnpicklingError, zipfile.BadZipFile, LookupError, TypeError, AttributeError)
"""Errors that torch.load raises besides ``RuntimeError``, ``ValueError`` and ``EOFError``."""

NOT_LOADED = (*_UNREADABLE, RuntimeError, ValueError, OSError, ImportError, SafetensorError)
"""Errors of ``from_pretrained`` for files that are missing, damaged, or of another network."""
WRAPPERS = ("model", "state_dict", "model_state_dict", "ema")
"""Keys under which programs save the weights, the first of them first."""
SAFETENSORS = ".safetensors"
PATTERNS = (("*.pth", "*.pt"), (f"*{SAFETENSORS}",))
"""Weights files of a folder; the second only without the first, as it often has other names."""
HEAD_BYTES = 512
STAND_INS = (
    (b"version https://git-lfs", "a Git LFS pointer", 'Run "git lfs pull" in the repository'),
    (b"<!doctype html", "an HTML page", "Download the file again, with its direct link"),
    (b"<html", "an HTML page", "Download the file again, with its direct link"),
)
"""(first bytes, kind, remedy) of files that are often saved in place of the right one."""


def find_weights_file(location: str, key: str) -> Path:
    """Return the file of a location (see ``sola.hub``), or the only one of a folder or repository.

    Args:
        location: see ``sola.hub``.
        key: full key of the location in the configuration, for messages.

    Raises:
        UserError: if it cannot be fetched, or a folder has no weights file or several.
    """
    for patterns in PATTERNS:
        path = find_weights(location, key, patterns)
        if path.is_file() or not (path.is_dir() or is_on_hub(location)):
            return path
        files = sorted(each for pattern in patterns for each in path.glob(pattern))
        if len(files) == 1:
            return files[0]
        if files:
            start = location if Path(location).exists() else HUB + location.removeprefix(HUB)
            names = ", ".join(each.name for each in files[:4])
            raise UserError(
                f"{key}={location}: has {len(files)} weights files ({names}). Name one of them: "
                f"{key}={start}/{files[0].name}"
            )
    raise UserError(f"{key}={location}: has no .pt, .pth or .safetensors. Name a weights file.")


def read_weights(
    path: Path, *, is_checked: bool = False, remedy: str = "Get the file again."
) -> Any:
    """Return the plain values and tensors of a file of torch or safetensors, on the CPU.

    Args:
        path: the file.
        is_checked: whether to verify the checksums that torch.save writes and torch.load ignores;
            other programs do not write them.
        remedy: sentence that says what to do if the file is not a checkpoint.

    Raises:
        FileRefused: if the system refuses to read it.
        DamagedFile: if it is not a weights file, is damaged, or would run code.
    """
    refuse_stand_in(path)
    with readable(path, remedy), path.open("rb") as file:
        try:
            if path.suffix == SAFETENSORS:
                return load_file(path)
            if file.peek(2).startswith(b"PK"):
                _check_zip(file, is_checked=is_checked)
                file.seek(0)
            return torch.load(file, map_location="cpu", weights_only=True)
        except Damage:
            raise
        except SafetensorError as error:
            raise Damage(str(error)) from error
        except (*_UNREADABLE, RuntimeError, ValueError, EOFError) as error:
            # without torch's message, which advises to run the code in the file
            raise Damage("not a checkpoint, or one that would run code") from error


def plain_weights(content: Any, path: Path, remedy: str) -> dict[str, Tensor]:
    """Return the tensors of a weights file by name, without wrappers and ``module.`` of DDP.

    Args:
        content: see ``read_weights``.
        path: the file, for messages.
        remedy: sentence that says what to do if it has none.

    Raises:
        UserError: if it holds anything but tensors by name.
    """
    for _ in range(len(WRAPPERS)):
        if isinstance(content, Mapping):
            inner = [content[key] for key in WRAPPERS if isinstance(content.get(key), Mapping)]
            content = inner[0] if inner else content
    if not isinstance(content, Mapping):
        raise UserError(f"{path}: holds a {type(content).__name__}, not weights. {remedy}")
    other = [name for name, value in content.items() if not isinstance(value, Tensor)]
    if other or not content:
        found = ", ".join(map(repr, other[:4])) or "nothing"
        raise UserError(f"{path}: not only tensors by name (found {found}). {remedy}")
    return {str(name).removeprefix("module."): value for name, value in content.items()}


def refuse_stand_in(path: Path, patterns: Sequence[str] = MODEL_FILES) -> None:
    """Raise ``DamagedFile`` for a Git LFS pointer or a web page in place of a file.

    Args:
        path: a file, or a folder.
        patterns: files of the folder to check.
    """
    paths = [path]
    if os.path.isdir(path):
        paths = [each for pattern in patterns for each in find_files(path, pattern)]
    for each in paths:
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
