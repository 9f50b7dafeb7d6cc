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
    """Folder of datasets, tracks, prompts, text tokens: everything but what a run puts out."""
    paths: PathsConfig = MISSING


@dataclass
class GenerateConfig(RunConfig):
    dataset: DatasetConfig = MISSING
    prompt_source: PromptSourceConfig = MISSING
    tracker: TrackerConfig = MISSING
    trainer: TrainerConfig = MISSING
    split: str = MISSING
    """The split whose videos are tracked, such as train or valid_u."""
    checkpoint: str | None = None
    """Takes the place of tracker.checkpoint; None: that one counts."""
    token_dtype: str = "auto"
    """Of object tokens on disk: float16, float32, or auto: float16 where the trainer's precision is
    bf16-mixed (whose pointers float16 holds exactly), else float32."""
    seed: int = 42
    """Of untrained weights (tracker.checkpoint=random)."""
    part: int = 0
    """Which of the jobs that share the videos this one is: 0 to num_parts - 1."""
    num_parts: int = 1
    """Jobs that share the videos; each takes the next one that nobody has taken."""
    strict: bool = False
    """true: the first video that cannot be tracked ends the run; false: the others are tracked
    first."""
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
    """A track is selected when its score (0 to 1) is above this."""
    ckpt_path: str | None = None
    """Resume from this checkpoint, a last.ckpt; None: start anew, or as ``resume`` says."""
    resume: bool = False
    """Resume from last.ckpt in the output folder if there is one, else start."""
    seed: int = 42
    """Of the first weights, the order of samples, and dropout."""


@dataclass
class EvaluateConfig(RunConfig):
    dataset: DatasetConfig = MISSING
    tracker: TrackerConfig = MISSING
    text_encoder: TextEncoderConfig = MISSING
    trainer: TrainerConfig = MISSING
    ckpt_path: str = ""
    """Of the selector to measure: a best.ckpt, or a folder of save_pretrained. Needed unless
    ``predictions`` is given."""
    predictions: str | None = None
    """Masks of any system to score in its place: a zip or a folder in the layout of a submission;
    of the rest, only dataset, split, missing and num_workers matter then. None: ckpt_path
    counts."""
    missing: str = "error"
    """Expressions that lack masks among the predictions: error, or zero (each counts 0)."""
    split: str = "valid_u"
    """The split to measure on; it needs ground truth."""
    sources: list[str] = field(default_factory=lambda: ["grid"])
    """Whose tracks are chosen among: any of gt, grid, gdino and your own, see
    data.train_sources."""
    threshold: float = 0.5
    """A track is selected when its score (0 to 1) is above this."""
    seed: int = 42
    """Of the other-text row: which other expression each one is given."""
    num_workers: int = 0
    """Further processes that measure, which changes time alone; 0: none."""
    metrics: list[str] = field(default_factory=list)
    """Numbers of your own beside J and F: files in sola/metrics/ (docs/adding_a_metric.md)."""
    report: bool = False
    """Write the folder report as well, to look at in a browser (of a selector alone)."""
    report_against: str | None = None
    """Output folder of another run of evaluate.py on the split, for the report to compare with;
    None: it compares with none."""
    selector: SelectorConfig | None = field(default=None, metadata=UNUSED)


@dataclass
class ClipSourcesConfig:
    """How tracks of a user's own clip are made."""

    grid: PromptSourceConfig = MISSING
    """From SAM 2's automatic masks."""
    gdino: PromptSourceConfig = MISSING
    """From GroundingDINO's boxes for each sentence."""


@dataclass
class PredictConfig(RunConfig):
    dataset: DatasetConfig = MISSING
    tracker: TrackerConfig = MISSING
    text_encoder: TextEncoderConfig = MISSING
    trainer: TrainerConfig = MISSING
    ckpt_path: str = MISSING
    """The selector: a best.ckpt, or a folder of save_pretrained."""
    split: str = "valid_u"
    """The split to answer; it needs no ground truth."""
    sources: list[str] = field(default_factory=lambda: ["grid"])
    """Whose tracks are chosen among: any of gt, grid, gdino and your own, see data.train_sources;
    of a clip grid and gdino."""
    threshold: float = 0.5
    """A track is selected when its score (0 to 1) is above this."""
    num_overlays: int = 8
    """Expressions drawn as overlay pictures, evenly taken from the split; 0: none."""
    submission: bool = False
    """Pack the masks into submission.zip, as the benchmark's server takes it, and check it."""
    video: str | None = None
    """A clip of the user's own, in place of a split: a video file, or a folder of images. None: the
    split is answered."""
    expressions: list[str] = field(default_factory=list)
    """What is asked about the clip; each gets its masks and an overlay video."""
    prompt_sources: ClipSourcesConfig = MISSING
    """How the clip's tracks are made; ``sources`` says which of them are."""
    seed: int = 42
    """Of untrained weights (tracker.checkpoint=random), for a clip."""
    selector: SelectorConfig | None = field(default=None, metadata=UNUSED)


@dataclass
class CheckConfig(RunConfig):
    dataset: DatasetConfig = MISSING
    split: str | None = None
    """The split to check; None: every one that is there."""
    decode: bool = True
    """Decode every frame; without, only the heads of the files are read."""
    num_threads: int = 4
    """Threads that read frames."""
    tracker: TrackerConfig | None = field(default=None, metadata=UNUSED)
    text_encoder: TextEncoderConfig | None = field(default=None, metadata=UNUSED)
    selector: SelectorConfig | None = field(default=None, metadata=UNUSED)
    trainer: TrainerConfig | None = field(default=None, metadata=UNUSED)
