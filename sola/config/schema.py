"""Types, units and reasons of every configuration value; the values themselves are in conf/.

Plain data classes: the entry points turn the composed YAML into them once (``sola.config.load``),
and everything below takes these or plain values, never an OmegaConf object.

A field marked ``UNUSED`` is a group that the entry point itself has no use for. It is there because
a dataset's file chooses tracker, text encoder and selector in one place for every entry point, and
Hydra refuses a choice among a group that is absent. ``sola.config.load`` sets it to None.
"""

from dataclasses import dataclass, field
from typing import Any

from omegaconf import MISSING

UNUSED = {"unused": True}
"""Metadata of a field that is composed for the sake of other entry points, then emptied."""


@dataclass
class MovingShapesConfig:
    """How the synthetic videos are made (layout moving_shapes only)."""

    num_videos: dict[str, int] = field(default_factory=dict)
    """Videos per split."""
    first_seed: dict[str, int] = field(default_factory=dict)
    """Seed of a split's first video; video k takes first_seed + k. Splits must not overlap."""
    num_frames: int = 16
    frame_size_px: int = 128
    min_objects: int = 2
    max_objects: int = 6
    expressions_per_video: int = 12
    jpeg_quality: int = 90


@dataclass
class DatasetPartConfig:
    """A data set on disk."""

    name: str = MISSING
    """Label of every number and folder name under data/tracks."""
    layout: str = MISSING
    """How the files lie on disk: mevis, mevis_v2, ref_youtube_vos, ref_davis, moving_shapes (the
    layout of MeViS, made by us), joint (several data sets as one), or your own: its file in
    sola/datasets/, without ".py" (docs/adding_a_dataset.md)."""
    root: str = MISSING
    """Folder of the data set; it may be read-only."""
    train_split: str = "train"
    valid_split: str = "valid_u"
    cache_dir: str | None = None
    """Keeps what was found out about a large mask_dict.json; None: nothing is kept."""
    submission_top_dir: str = ""
    """Folder that holds the videos in a zip of masks to hand in; "": they lie at its top."""


@dataclass
class DatasetConfig(DatasetPartConfig):
    maker: MovingShapesConfig | None = None
    parts: dict[str, DatasetPartConfig] = field(default_factory=dict)
    """Layout joint only: trained on together, validated on the first."""


@dataclass
class DetectorNetworkConfig:
    """Shape of a GroundingDINO; a folder of transformers brings its own and needs none of this."""

    name: str = MISSING
    checkpoint: str = ""
    """Its published weights."""
    swin_dim: int = 96
    """Channels of the image encoder's first stage, doubled in each of the other three."""
    swin_depths: list[int] = field(default_factory=lambda: [2, 2, 6, 2])
    swin_heads: list[int] = field(default_factory=lambda: [3, 6, 12, 24])
    swin_window: int = 7
    hidden_dim: int = 256
    ffn_dim: int = 2048
    num_heads: int = 8
    encoder_layers: int = 6
    decoder_layers: int = 6
    num_queries: int = 900
    """Boxes proposed for a text, before the threshold."""
    bert_dim: int = 768
    bert_layers: int = 12
    bert_heads: int = 12
    bert_ffn_dim: int = 3072


@dataclass
class PromptSourceConfig:
    name: str = MISSING
    """Its file in sola/prompts/, without ".py": gt, grid, gdino, or your own."""
    frames: str = "largest"
    """gt: on which frames an object is prompted: first, largest or even (evenly spaced)."""
    frames_per_object: int = 1
    """gt: prompts per object."""
    frame_stride: int = 4
    """Every frame_stride-th frame is prompted (grid: in training splits; gdino: in all)."""
    max_tracks: int | None = None
    """Cap on the tracks of one video (gdino: of one expression); None: no cap."""
    part_overlap: float = 0.7
    """A mask with more than this share of its area inside a larger one is a part, and dropped."""
    duplicate_iou: float = 0.7
    """A prompt that overlaps a finished track more than this on its frame is a duplicate."""
    group_size: int = 4
    """Prompts of one frame tracked together (part of the rule: duplicates are looked for after)."""
    group_size_long: int = 2
    long_video_frames: int = 200
    """Videos with more frames take group_size_long."""
    detector: str = "transformers"
    """gdino, as all below: transformers, or groundingdino (the original code, an extra)."""
    detector_checkpoint: str | None = None
    """A .pth file of the original code, a folder of transformers, or "random": untrained."""
    detector_network: DetectorNetworkConfig | None = None
    """Of a .pth file and of random weights; a folder says itself what it holds."""
    detector_vocabulary: str | None = None
    """Folder, model name or "package:..." with a BERT vocabulary; None: that of the checkpoint's
    folder, and bert-base-uncased for a .pth file or random weights."""
    shortest_edge_px: int = 800
    """Frames are resized to it for the detector, ..."""
    longest_edge_px: int = 1333
    """... or so that the other edge has this, whichever makes them smaller."""
    box_threshold: float = 0.2
    """A box is kept when its best token score is above this."""
    text_threshold: float = 0.25
    """A token with a score above this belongs to the phrase that a box is stored with."""
    stability_threshold: float = 0.85
    """A box's mask is kept when its stability score is at least this."""
    options: dict[str, Any] = field(default_factory=dict)
    """Arguments of a source that none of the above is, by name (docs/adding_a_prompt_source.md)."""


@dataclass
class MaskGeneratorConfig:
    """SAM 2's automatic mask generator; the defaults are the library's."""

    points_per_side: int = 32
    points_per_batch: int = 64
    pred_iou_thresh: float = 0.8
    stability_score_thresh: float = 0.95
    stability_score_offset: float = 1.0
    box_nms_thresh: float = 0.7
    multimask_output: bool = True


@dataclass
class TrackerConfig:
    name: str = MISSING
    packaged_model: str | None = None
    """A configuration inside the sam2 package, such as sam2.1/sam2.1_hiera_l.yaml."""
    model: Any = None
    """Or the network itself, as a tree of _target_ nodes (the small tracker)."""
    checkpoint: str = MISSING
    """A file of SAM 2's format ({"model": state dict}), or "random": untrained weights."""
    token_dim: int = 256
    """D, width of an object token."""
    fill_hole_area: int = 0
    """Largest hole (px) that SAM 2 fills; above 0 it needs SAM 2's CUDA extension."""
    feature_budget_mib: float = 4096
    """Memory for the image features of one video; frames beyond it are encoded in every pass."""
    compile: bool = False
    """Whether torch compiles the network; takes minutes at first and changes tracks by rounding."""
    mask_generator: MaskGeneratorConfig = field(default_factory=MaskGeneratorConfig)


@dataclass
class TextEncoderConfig:
    name: str = MISSING
    path: str = MISSING
    """Model name or folder for transformers, or "package:" and a package that carries one."""
    dim: int = MISSING
    """E, width of a text token."""
    batch_size: int = 64


@dataclass
class SelectorConfig:
    """A selector and its arguments; one that is None is not given to it (its own default holds)."""

    name: str = "track_selector"
    """Its file in sola/selector/, without ".py"."""
    token_dim: int = 256
    text_dim: int = 1024
    num_layers: int | None = None
    num_heads: int | None = None
    num_groups: int | None = None
    num_negatives: int | None = None
    dropout: float | None = None
    """track_selector: of the short-term motion encoder."""
    attention_dropout: float | None = None
    options: dict[str, Any] = field(default_factory=dict)
    """Arguments that none of the above is, by name (docs/adding_a_selector.md)."""


@dataclass
class LossConfig:
    positive_weight: float = 1.5
    alignment_weight: float = 0.3
    temperature: float = 0.07
    """The alignment loss scales dot products by exp(temperature)."""
    label_iou: float = 0.7
    """A track is positive when its best IoU over the expression's objects is above this."""
    empty_frames: str = "count"
    """Frames empty in track and object: count (IoU 1, the published rule) or skip."""


@dataclass
class OptimizerConfig:
    lr: float = 5e-6
    weight_decay: float = 0.01
    schedule: str = "plateau"
    """plateau (halve on a stalled validation loss) or cosine (to zero over the run)."""
    plateau_factor: float = 0.5
    plateau_patience: int = 5
    warmup_steps: int = 0


@dataclass
class DataConfig:
    train_sources: list[str] = field(default_factory=lambda: ["gt", "grid"])
    """Any of gt, grid, gdino and your own. An expression chooses among the tracks of its video (gt,
    grid) and those made for itself (gdino)."""
    valid_sources: list[str] = field(default_factory=lambda: ["grid"])
    """The same for validation; those of training may be others."""
    group_by: str = "expression"
    """expression: one a sample (the paper); video: all expressions of a video share its tracks.
    With gdino among train_sources each has tracks of its own, and a sample is one expression.
    Validation goes by video wherever tracks are shared."""
    batch_size: int = 1
    """Samples a step and device."""
    max_tokens: int | None = None
    """Instead of batch_size: samples are packed into steps of at most so many object tokens, which
    are expressions x tracks x frames, summed over the step; a video is cut to it by expressions."""
    window: int = 32
    """Videos whose samples are shuffled among each other; their tracks are read once and kept in
    memory, by every worker, until all are seen. Videos themselves are shuffled every epoch."""
    num_workers: int = 0


@dataclass
class TrainerConfig:
    """Passed on to lightning's Trainer."""

    accelerator: str = "auto"
    devices: int = 1
    num_nodes: int = 1
    strategy: str = "auto"
    precision: str = "32-true"
    max_epochs: int = 15
    gradient_clip_val: float = 1.0
    accumulate_grad_batches: int = 1
    check_val_every_n_epoch: int = 1
    fast_dev_run: bool = False
    limit_train_batches: float = 1.0
    """Batches an epoch: up to 1 a share of them (1 is all), above 1 a number."""
    limit_val_batches: float = 1.0
    """The same for validation; never 0, as best.ckpt is chosen by it."""
    num_threads: int = 0
    """CPU threads of torch; 0: torch's choice."""
    early_stopping_patience: int | None = None
    """Training ends after so many validations without a better valid/J&F; None: it does not."""
    ema_decay: float | None = None
    """Validated and saved are the weights' exponential moving average over steps, with this decay;
    None: the weights themselves."""
    checkpoint_every_n_steps: int | None = None
    """Optimiser steps from one last.ckpt to the next within an epoch; None: not by steps. After
    every epoch it is written anyhow."""
    checkpoint_every_n_minutes: float | None = 10.0
    """The same by time."""


@dataclass
class LoggerConfig:
    name: str = "csv"
    """wandb, tensorboard or csv."""
    project: str = "sola"
    """Of W&B, as the next two."""
    group: str | None = None
    """Runs of a group are shown together; None: those of a sweep, by its folder's name."""
    run_name: str | None = None
    """None: what was typed, such as "seed=1"."""
    log_every_n_steps: int = 10
    """Optimiser steps from one row of losses, learning rate and gradient norms to the next."""
    num_examples: int = 8
    """Validation expressions shown as videos, evenly taken from the split; videos of generation.
    Of wandb and tensorboard, as all below."""
    examples_every_n_validations: int = 1
    example_frames: int = 32
    """Frames of such a video at most, evenly taken."""
    keep_checkpoint: bool = True
    """Whether W&B gets best.ckpt itself, at the end, or only its path and checksum."""


@dataclass
class PathsConfig:
    data_dir: str = "data"
    """Holds datasets, tracks/, text/ and cache/."""
    output_dir: str = MISSING
    """Folder of this run."""


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
