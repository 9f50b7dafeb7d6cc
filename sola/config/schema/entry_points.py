"""The configuration of each entry point."""

from dataclasses import dataclass, field

from omegaconf import MISSING

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
    PromptSourceConfig,
    TrackerConfig,
)

UNUSED = {"unused": True}
"""Metadata of a field that is composed for the sake of other entry points, then emptied."""


@dataclass
class RunConfig:
    """What every entry point takes."""

    data_root: str = "data"
    """Holds datasets, tracks, prompts, text tokens: everything but what a run puts out."""
    paths: PathsConfig = MISSING


@dataclass
class GenerateConfig(RunConfig):
    dataset: DatasetConfig = MISSING
    prompt_source: PromptSourceConfig = MISSING
    tracker: TrackerConfig = MISSING
    trainer: TrainerConfig = MISSING
    split: str = MISSING
    checkpoint: str | None = None
    """Takes the place of tracker.checkpoint."""
    token_dtype: str = "auto"
    """Of object tokens on disk: float16, float32, or auto: float16 where the trainer's precision is
    bf16-mixed (whose pointers float16 holds exactly), else float32."""
    seed: int = 42
    part: int = 0
    """Which of the jobs that share the videos this one is: 0 to num_parts - 1."""
    num_parts: int = 1
    """Jobs that share the videos; each takes the next one that nobody has taken."""
    strict: bool = False
    """Whether a video that cannot be tracked ends the run; else the others are tracked first."""
    logger: LoggerConfig | None = None
    """None: nothing is logged but what the terminal shows."""
    text_encoder: TextEncoderConfig | None = field(default=None, metadata=UNUSED)
    selector: SelectorConfig | None = field(default=None, metadata=UNUSED)


@dataclass
class TrainConfig(RunConfig):
    dataset: DatasetConfig = MISSING
    tracker: TrackerConfig = MISSING
    text_encoder: TextEncoderConfig = MISSING
    selector: SelectorConfig = MISSING
    loss: LossConfig = field(default_factory=LossConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    data: DataConfig = field(default_factory=DataConfig)
    trainer: TrainerConfig = MISSING
    logger: LoggerConfig = MISSING
    threshold: float = 0.5
    """A track is selected when its score is above this."""
    ckpt_path: str | None = None
    """Resume from this checkpoint, a last.ckpt."""
    resume: bool = False
    """Resume from last.ckpt in the output folder if there is one, else start."""
    seed: int = 42


@dataclass
class EvaluateConfig(RunConfig):
    dataset: DatasetConfig = MISSING
    tracker: TrackerConfig = MISSING
    text_encoder: TextEncoderConfig = MISSING
    trainer: TrainerConfig = MISSING
    ckpt_path: str = ""
    """Of the selector to measure; not needed with predictions."""
    predictions: str | None = None
    """Masks of any system to score in its place: a zip or a folder in the layout of a submission;
    of the rest, only dataset, split, missing and num_workers matter then."""
    missing: str = "error"
    """Expressions that lack masks among the predictions: error, or zero (each counts 0)."""
    split: str = "valid_u"
    sources: list[str] = field(default_factory=lambda: ["grid"])
    """Any of gt, grid, gdino and your own, see DataConfig."""
    threshold: float = 0.5
    seed: int = 42
    """Of the other-text row: which other expression each one is given."""
    num_workers: int = 0
    """Further processes that measure, which changes time alone; 0: none."""
    metrics: list[str] = field(default_factory=list)
    """Numbers of your own beside J and F: files in sola/metrics/ (docs/adding_a_metric.md)."""
    report: bool = False
    """Write the folder report as well, to look at in a browser (of a selector alone)."""
    report_against: str | None = None
    """Output folder of another run of evaluate.py on the split, for the report to compare with."""
    selector: SelectorConfig | None = field(default=None, metadata=UNUSED)


@dataclass
class ClipSourcesConfig:
    """How tracks of a user's own clip are made."""

    grid: PromptSourceConfig = MISSING
    gdino: PromptSourceConfig = MISSING


@dataclass
class PredictConfig(RunConfig):
    dataset: DatasetConfig = MISSING
    tracker: TrackerConfig = MISSING
    text_encoder: TextEncoderConfig = MISSING
    trainer: TrainerConfig = MISSING
    ckpt_path: str = MISSING
    split: str = "valid_u"
    sources: list[str] = field(default_factory=lambda: ["grid"])
    """Any of gt, grid, gdino and your own, see DataConfig."""
    threshold: float = 0.5
    num_overlays: int = 8
    """Expressions drawn as overlay pictures, evenly taken from the split."""
    submission: bool = False
    """Pack the masks into submission.zip, as the benchmark's server takes it, and check it."""
    video: str | None = None
    """A clip of the user's own, in place of a split: a video file, or a folder of images."""
    expressions: list[str] = field(default_factory=list)
    """What is asked about the clip; each gets its masks and an overlay video."""
    prompt_sources: ClipSourcesConfig = MISSING
    """How the clip's tracks are made; ``sources`` says which of them are."""
    seed: int = 42
    """Of a tracker with random weights."""
    selector: SelectorConfig | None = field(default=None, metadata=UNUSED)


@dataclass
class CheckConfig(RunConfig):
    dataset: DatasetConfig = MISSING
    split: str | None = None
    """None: every split that is there."""
    decode: bool = True
    """Decode every frame; without, only the heads of the files are read."""
    num_threads: int = 4
    tracker: TrackerConfig | None = field(default=None, metadata=UNUSED)
    text_encoder: TextEncoderConfig | None = field(default=None, metadata=UNUSED)
    selector: SelectorConfig | None = field(default=None, metadata=UNUSED)
    trainer: TrainerConfig | None = field(default=None, metadata=UNUSED)
