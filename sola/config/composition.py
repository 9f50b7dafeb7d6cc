"""Compose the configuration of a command, check it, and build its objects."""

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, cast

from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from omegaconf import DictConfig, OmegaConf

from sola.config.targets import (
    TARGET,
    Later,
    build,
    call,
    check_arguments,
    check_kind,
    check_tree,
    is_node,
    locate,
)
from sola.errors import UserError

_PACKAGE_DIR = Path(__file__).parents[1]
CONF_DIR = next(
    folder for folder in (_PACKAGE_DIR / "conf", _PACKAGE_DIR.parent / "conf") if folder.is_dir()
)
"""Folder of the YAML files: inside an installed package, beside sola/ in a clone."""


WIDTHS = (("token_dim", "tracker", "token_dim"), ("text_dim", "text_encoder", "dim"))
"""(argument of a selector, section that gives this width, attribute of its object)."""


@dataclass(frozen=True)
class Entry:
    """One command."""

    config_class: str
    """Name of a class in ``sola.config.entry_points``."""
    unused: tuple[str, ...] = ()
    """Groups that the command ignores. They are composed because the file of a data set chooses
    tracker, text encoder and selector for every command, and Hydra cannot override an absent
    group."""
    paths: tuple[str, ...] = ()
    """Keys of files or folders that must exist at start."""
    lists: tuple[str, ...] = ()
    """Groups that accept several files; Hydra leaves them out of its choices."""


ENTRIES = {
    "train": Entry("TrainConfig", paths=("ckpt_path", "dataset.root")),
    "generate": Entry(
        "GenerateConfig",
        unused=("text_encoder", "selector"),
        paths=("dataset.root", "tracker.checkpoint", "prompt_source.detector.checkpoint"),
    ),
    "evaluate": Entry(
        "EvaluateConfig",
        paths=("ckpt_path", "predictions", "report_against", "dataset.root"),
        lists=("metric",),
    ),
    "predict": Entry(
        "PredictConfig", paths=("ckpt_path", "video", "expressions_file", "dataset.root")
    ),
    "download": Entry(
        "DownloadConfig",
        unused=("dataset", "selector", "trainer"),
        paths=("tracker.checkpoint", "prompt_source.detector.checkpoint"),
    ),
    "check": Entry(
        "CheckConfig",
        unused=("tracker", "text_encoder", "selector", "trainer"),
        paths=("dataset.root",),
    ),
}


def compose(entry: str, overrides: Sequence[str] = (), conf_dir: Path = CONF_DIR) -> Any:
    """Return the configuration with which ``python <entry>.py <overrides>`` would run.

    For programs without a run folder of Hydra: pass ``paths.output_dir`` in the overrides.

    Args:
        entry: one of ``ENTRIES``.
        overrides: as on the command line.
        conf_dir: folder of the YAML files.

    Raises:
        UserError: see ``load``.
        hydra.errors.HydraException: if the YAML files and overrides do not fit together.
    """
    return load(compose_values(entry, overrides, conf_dir, with_hydra=False), entry)


def compose_values(
    entry: str, overrides: Sequence[str] = (), conf_dir: Path = CONF_DIR, *, with_hydra: bool = True
) -> DictConfig:
    """Compose the values of a command, unchecked and unresolved.

    Args:
        entry: one of ``ENTRIES``.
        overrides: as on the command line.
        conf_dir: folder of the YAML files.
        with_hydra: whether to include Hydra's own values.

    Raises:
        hydra.errors.HydraException: if the YAML files and overrides do not fit together.
    """
    GlobalHydra.instance().clear()  # sam2 starts Hydra when it is imported
    with initialize_config_dir(str(conf_dir.resolve()), version_base="1.3", job_name=entry):
        return hydra_compose(entry, list(overrides), return_hydra_config=with_hydra)


def load(composed: DictConfig, entry: str) -> Any:
    """Check the configuration of a command, and build its objects.

    Args:
        composed: values composed by Hydra.
        entry: one of ``ENTRIES``.

    Returns:
        An instance of the command's data class.

    Raises:
        UserError: if a value is missing, unknown or wrong, or a target cannot be imported.
        omegaconf.errors.OmegaConfBaseException: if an interpolation cannot be resolved.
    """
    known = ENTRIES[entry]
    used = [str(key) for key in composed if key not in known.unused]
    composed = OmegaConf.masked_copy(composed, used)
    missing = sorted(OmegaConf.missing_keys(composed))
    if missing:
        example = " ".join(f"{key}=..." for key in missing)
        raise UserError(f"{', '.join(missing)}: required. Add {example}")
    values = cast(dict[str, Any], OmegaConf.to_container(composed, resolve=True))
    module = importlib.import_module("sola.config.entry_points")
    config_class = getattr(module, known.config_class)
    check_arguments(config_class, values, "")
    later = {field.name: field for field in fields(config_class) if "later" in field.metadata}
    for key, value in values.items():
        if key not in later:
            check_tree(value, key)
    built = {key: build(value, key) for key, value in values.items() if key not in later}
    optional = {field.name for field in fields(config_class) if field.default is None}
    for key, kind in module.KINDS.items():
        if key in built and not (built[key] is None and key in optional):
            check_kind(built[key], cast(type, locate(kind, key)), key)
    _fill_widths(values, built)
    for key, field in later.items():
        if key in values and (values[key] is not None or field.default is not None):
            built[key] = _later(values[key], key, field.metadata["later"])
    config = call(config_class, "", **built)
    config.values = dict.fromkeys(later) | values
    return config


def _fill_widths(values: Mapping[str, Any], built: Mapping[str, Any]) -> None:
    """Set widths of a selector that are null to those of the tracker and the text encoder."""
    selector = values.get("selector")
    if not isinstance(selector, dict):
        return
    for name, owner, width in WIDTHS:
        if owner in built and selector.get(name, 0) is None:
            if not hasattr(built[owner], width):
                raise UserError(f"{owner}: has no {width}, the width of its tokens.")
            selector[name] = getattr(built[owner], width)


def _later(value: Any, key: str, how: str) -> Any:
    """Check a node, or a dictionary of nodes without those that are null, to build later."""
    if how == "by_name":
        if is_node(value) or not isinstance(value, Mapping):
            raise UserError(f"{key}: must be nodes by name, such as {key}.mine, got {value!r}.")
        nodes = {name: node for name, node in value.items() if node is not None}
        return {name: _later(node, f"{key}.{name}", "alone") for name, node in nodes.items()}
    if not is_node(value):
        found = f"only {', '.join(map(str, value))}" if isinstance(value, Mapping) else repr(value)
        raise UserError(f"{key}: must have a {TARGET}, the class to build, got {found}.")
    check_tree(value, key, is_partial=how == "partial")
    return Later(value, key)
