"""Messages for errors that a user can fix; every other exception is a bug."""

import errno
import re
import shlex
from collections.abc import Iterator
from typing import Any

from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import ConfigAttributeError, ConfigKeyError, OmegaConfBaseException
from yaml import MarkedYAMLError, YAMLError

from sola.config.targets import SPECIAL, TARGET, locate, parameters_of
from sola.errors import UserError, did_you_mean, nearest

PLUGINS = {
    "hydra/launcher/joblib": "hydra-joblib-launcher",
    "hydra/launcher/submitit_local": "hydra-submitit-launcher",
    "hydra/launcher/submitit_slurm": "hydra-submitit-launcher",
    "hydra/launcher/ray": "hydra-ray-launcher",
    "hydra/sweeper/optuna": "'sola-rvos[optuna]'",
    "hydra/sweeper/ax": "hydra-ax-sweeper",
    "hydra/sweeper/nevergrad": "hydra-nevergrad-sweeper",
}
"""Packages of Hydra's launchers and sweepers."""

_LINK = re.compile(r"(https?|ftp|rtsp)://|((www|m)\.)?(youtube\.com|youtu\.be|vimeo\.com)/", re.I)
_IN_THE_WAY = "Expected a folder, found a file (or vice versa): move it, or choose another place."
_NOT_PERMITTED = "Check its permissions, or choose another place (data_root, hydra.run.dir)."
_FULL = "Make room, or choose another place (data_root, hydra.run.dir), and run it again."
_REMEDIES = {
    errno.ENOENT: "Correct the path, or put the file there.",
    **dict.fromkeys((errno.ENOTDIR, errno.EEXIST, errno.EISDIR), _IN_THE_WAY),
    **dict.fromkeys((errno.EACCES, errno.EPERM, errno.EROFS), _NOT_PERMITTED),
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT), _FULL),
}
"""Fixes for errors of the file system."""


def message_of(error: BaseException) -> str | None:
    """Return the message of an error that the user can fix; None for a bug."""
    if isinstance(error, UserError):
        return str(error)
    if isinstance(error, OSError) and error.filename is not None:
        remedy = _REMEDIES.get(error.errno or 0, "")
        return f"{error.filename}: {error.strerror}. {remedy}".rstrip()
    if isinstance(error, OmegaConfBaseException):
        return f"{error.full_key}: {str(error.msg or error).splitlines()[0]}"
    if isinstance(error, MarkedYAMLError) and error.problem_mark is not None:
        place = f"{error.problem_mark.name}, line {error.problem_mark.line + 1}"
        return f"{place}: invalid YAML ({error.problem}). Fix the syntax error."
    if isinstance(error, YAMLError):
        return " ".join(str(error).split())  # the text names file and line
    if isinstance(error, HydraException):
        return _composition_message(error)
    return None


def fault_of_video(video: str) -> str | None:
    """Return the message about a link or a name that cannot be a clip on disk; None for others."""
    if _LINK.match(video):
        return (
            f"video={video}: is a link, expected a file. Download it first: "
            f"yt-dlp -f mp4 -o clip.mp4 {shlex.quote(video)}"
        )
    if any("\ud800" <= letter <= "\udfff" for letter in video):
        return f"video={video!r}: the name is not UTF-8. Rename it."
    return None


def _composition_message(error: HydraException) -> str:
    if isinstance(error, OverrideParseException):
        key, _, value = str(error.override).partition("=")
        if key == "video" and (fault := fault_of_video(value)):
            return fault
        return (
            f"{error.override}: cannot be read as key=value. Values with commas, brackets or "
            "spaces need quotes: 'key=[a,b]'."
        )
    if isinstance(error, MissingConfigException) and error.missing_cfg_file is not None:
        return _missing_file(error)
    if isinstance(error.__cause__, ConfigKeyError | ConfigAttributeError):
        return _unknown_key(error.__cause__)
    return str(error).strip()


def _missing_file(error: MissingConfigException) -> str:
    file = str(error.missing_cfg_file)
    group, _, choice = file.rpartition("/")
    if file in PLUGINS:
        return f"{group}={choice}: not installed. Run: pip install {PLUGINS[file]}"
    options = [str(each) for each in error.options or ()]
    return (
        f"{group}={choice}: not found.{did_you_mean(choice, options, prefix=f'{group}=')} Your own "
        f"file belongs in <folder>/{group}/, with --config-dir <folder>."
    )


def _unknown_key(error: ConfigKeyError | ConfigAttributeError) -> str:
    """Name the nearest key, including constructor arguments and keys of other sections."""
    key, name, node = str(error.full_key), str(error.key), error.parent_node
    siblings = [str(each) for each in node if each not in ("hydra", *SPECIAL)] if node else []
    arguments = _arguments(node, key.rpartition(".")[0])
    if name in arguments:
        return f"{key}: not set in conf/. Add it with a plus sign: +{key}=..."
    known = list(dict.fromkeys([*siblings, *arguments]))
    if key == name and not nearest(name, known):  # the parent is the whole configuration
        all_keys = _keys(OmegaConf.to_container(node)) if node is not None else ()
        elsewhere = [each for each in all_keys if each.rpartition(".")[2] == name]
        if elsewhere:
            return f"{key}: unknown key. Did you mean {' or '.join(elsewhere[:3])}?"
    return f"{key}: unknown key.{did_you_mean(name, known, prefix=key.removesuffix(name))}"


def _arguments(node: Any, key: str) -> list[str]:
    """Return the names of the arguments of a node's target."""
    if not isinstance(node, DictConfig) or TARGET not in node:
        return []
    try:
        return list(parameters_of(locate(node[TARGET], key)) or ())
    except UserError:
        return []


def _keys(values: Any, prefix: str = "") -> Iterator[str]:
    """Yield the full keys of nested dictionaries, except Hydra's."""
    for name, value in values.items() if isinstance(values, dict) else ():
        if name != "hydra":
            yield f"{prefix}{name}"
            yield from _keys(value, f"{prefix}{name}.")
