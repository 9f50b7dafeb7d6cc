"""What selects among tracks, how it learns, and where a run shows what it does."""

from dataclasses import dataclass, field
from typing import Any

from omegaconf import MISSING


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
