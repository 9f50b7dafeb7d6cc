"""Types, units and reasons of every configuration value; the values themselves are in conf/.

Plain data classes: the entry points turn the composed YAML into them once (``sola.config.load``),
and everything below takes these or plain values, never an OmegaConf object.

A field marked ``UNUSED`` is a group that the entry point itself has no use for. It is there because
a dataset's file chooses tracker, text encoder and selector in one place for every entry point, and
Hydra refuses a choice among a group that is absent. ``sola.config.load`` sets it to None.
"""

from sola.config.schema.entry_points import (
    UNUSED,
    CheckConfig,
    ClipSourcesConfig,
    EvaluateConfig,
    GenerateConfig,
    PredictConfig,
    RunConfig,
    TrainConfig,
)
from sola.config.schema.selection import (
    DataConfig,
    LoggerConfig,
    LossConfig,
    OptimizerConfig,
    PathsConfig,
    SelectorConfig,
    TextEncoderConfig,
    TrainerConfig,
)
from sola.config.schema.tracks import (
    DatasetConfig,
    DatasetPartConfig,
    DetectorNetworkConfig,
    MaskGeneratorConfig,
    MovingShapesConfig,
    PromptSourceConfig,
    TrackerConfig,
)

__all__ = [
    "UNUSED",
    "CheckConfig",
    "ClipSourcesConfig",
    "DataConfig",
    "DatasetConfig",
    "DatasetPartConfig",
    "DetectorNetworkConfig",
    "EvaluateConfig",
    "GenerateConfig",
    "LoggerConfig",
    "LossConfig",
    "MaskGeneratorConfig",
    "MovingShapesConfig",
    "OptimizerConfig",
    "PathsConfig",
    "PredictConfig",
    "PromptSourceConfig",
    "RunConfig",
    "SelectorConfig",
    "TextEncoderConfig",
    "TrackerConfig",
    "TrainConfig",
    "TrainerConfig",
]
