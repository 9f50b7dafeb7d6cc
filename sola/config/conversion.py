"""From Hydra's composed YAML to the typed configuration of an entry point."""

from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar, cast

from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from omegaconf import DictConfig, OmegaConf

from sola.config.by_name import CONF_DIR as CONF_DIR
from sola.config.schema import (
    CheckConfig,
    EvaluateConfig,
    GenerateConfig,
    PredictConfig,
    TrainConfig,
)
from sola.config.validation import validate
from sola.errors import UserError

SCHEMAS: dict[str, type] = {
    "train": TrainConfig,
    "generate": GenerateConfig,
    "evaluate": EvaluateConfig,
    "predict": PredictConfig,
    "check": CheckConfig,
}
"""The data class of each entry point, named like its file in conf/."""

Schema = TypeVar("Schema")


def register_schemas() -> None:
    """Makes the data classes known to Hydra, as ``<entry point>_schema`` in a defaults list."""
    for name, schema in SCHEMAS.items():
        ConfigStore.instance().store(name=f"{name}_schema", node=schema, provider="sola")


def load(composed: DictConfig, schema: type[Schema]) -> Schema:
    """Typed, resolved and validated configuration.

    Args:
        composed: what Hydra composed, with or without types.
        schema: data class of the entry point.

    Raises:
        UserError: if a required value is missing (all of them are named), or a rule between values
            is broken.
        omegaconf.errors.OmegaConfBaseException: if a key is unknown or a value has the wrong type.
    """
    # Merged once more onto the schema, as plain values: "+key=" slips past the types during
    # composition, and a configuration that was saved and read again has lost them.
    plain = OmegaConf.to_container(composed, resolve=False)
    typed = cast(DictConfig, OmegaConf.merge(OmegaConf.structured(schema), plain))
    for field in fields(cast(Any, schema)):
        if field.metadata.get("unused"):
            typed[field.name] = None
    _check_nothing_missing(typed)
    config = cast(Schema, OmegaConf.to_object(typed))
    validate(config)
    return config


def compose(entry: str, overrides: Sequence[str] = (), conf_dir: Path = CONF_DIR) -> Any:
    """Configuration that ``python <entry>.py <overrides>`` would run with.

    For tests and benchmarks. ``paths.output_dir`` belongs to a run: give it among the overrides.

    Args:
        entry: train, generate, evaluate, predict or check.
        overrides: as on the command line.
        conf_dir: folder of the YAML files.

    Raises:
        UserError: as ``load`` does.
        hydra.errors.HydraException: if the YAML files and overrides do not fit together.
    """
    return load(_compose(entry, overrides, conf_dir), SCHEMAS[entry])


def compose_values(entry: str, overrides: Sequence[str] = ()) -> DictConfig:
    """What ``compose`` starts from: values as they are written, with Hydra's own, and no rules.

    Args:
        entry: as for ``compose``.
        overrides: as on the command line.

    Raises:
        hydra.errors.HydraException: if the YAML files and overrides do not fit together.
    """
    return _compose(entry, overrides, CONF_DIR, return_hydra_config=True)


def _compose(
    entry: str, overrides: Sequence[str], conf_dir: Path, *, return_hydra_config: bool = False
) -> DictConfig:
    register_schemas()
    GlobalHydra.instance().clear()  # sam2 starts Hydra when it is imported
    with initialize_config_dir(str(conf_dir.resolve()), version_base="1.3", job_name=entry):
        return hydra_compose(entry, list(overrides), return_hydra_config)


def _check_nothing_missing(typed: Any) -> None:
    missing = sorted(OmegaConf.missing_keys(typed))
    if missing:
        example = " ".join(f"{key}=..." for key in missing)
        raise UserError(
            f"{len(missing)} required value(s) missing: {', '.join(missing)}. Give: {example}"
        )
