"""What selects among tracks, how it learns, and where a run shows what it does."""

from dataclasses import dataclass, field
from typing import Any

from omegaconf import MISSING


@dataclass
class TextEncoderConfig:
    """The frozen network that turns a sentence into text tokens."""

    name: str = MISSING
    """Label of its folder of cached tokens under data/text."""
    path: str = MISSING
    """Model name or folder for transformers, or "package:" and a package that carries one."""
    dim: int = MISSING
    """E, width of a text token; a property of the model."""
    batch_size: int = 64
    """Sentences encoded at a time."""


@dataclass
class SelectorConfig:
    """A selector and its arguments; one that is None is not given to it (its own default holds)."""

    name: str = "track_selector"
    """Its file in sola/selector/, without ".py"."""
    token_dim: int = 256
    """D, width of an object token; that of the tracker."""
    text_dim: int = 1024
    """E, width of a text token; that of the text encoder, and track_selector's own width."""
    num_layers: int | None = None
    """track_selector: alignment layers, in which tracks attend to each other and to the text."""
    num_heads: int | None = None
    """track_selector: heads of every attention; they divide text_dim."""
    num_groups: int | None = None
    """track_selector: groups of every group normalisation; they divide text_dim and 2 x
    token_dim."""
    num_negatives: int | None = None
    """track_selector: learned tokens beside the text, to which tracks that are not meant are drawn;
    0: none."""
    dropout: float | None = None
    """Share of activations set to 0 in training; track_selector: in the motion encoder, baseline:
    in the hidden layer."""
    attention_dropout: float | None = None
    """track_selector: share of attention weights set to 0 in training."""
    options: dict[str, Any] = field(default_factory=dict)
    """Arguments that none of the above is, by name (docs/selectors.md,
    docs/adding_a_selector.md)."""


@dataclass
class LossConfig:
    """What a training step makes small: classification + alignment_weight x alignment."""

    positive_weight: float = 1.5
    """Factor on the loss of tracks that the expression means; above 1 favours finding over
    sparing."""
    alignment_weight: float = 0.3
    """Factor on the alignment loss, which draws meant tracks to the text; 0: without."""
    temperature: float = 0.07
    """The alignment loss scales dot products by exp(temperature)."""
    label_iou: float = 0.7
    """A track is positive when its best IoU over the expression's objects is above this."""
    empty_frames: str = "count"
    """Frames empty in track and object: count (IoU 1, the published rule) or skip."""


@dataclass
class OptimizerConfig:
    """AdamW and its learning rate."""

    lr: float = 5e-6
    """Learning rate, once warmed up."""
    weight_decay: float = 0.01
    """AdamW's, of all parameters."""
    schedule: str = "plateau"
    """plateau: lr times plateau_factor whenever the validation loss stalls; cosine: half a cosine,
    to zero at the end of the run."""
    plateau_factor: float = 0.5
    """schedule=plateau: what the learning rate is multiplied by; between 0 and 1."""
    plateau_patience: int = 5
    """schedule=plateau: epochs without a lower validation loss that are waited for."""
    warmup_steps: int = 0
    """Optimiser steps in which the learning rate rises, in a straight line, to lr; 0: none."""


@dataclass
class DataConfig:
    """What is trained and validated on, and in which portions."""

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
    """Samples of a step, on each device."""
    max_tokens: int | None = None
    """Instead of batch_size: samples are packed into steps of at most so many object tokens, which
    are expressions x tracks x frames, summed over the step; a video is cut to it by expressions.
    None: batch_size counts."""
    window: int = 32
    """Videos whose samples are shuffled among each other; their tracks are read once and kept in
    memory, by every worker, until all are seen. Videos themselves are shuffled every epoch."""
    num_workers: int = 0
    """Further processes that load samples, on each device; 0: none. No result depends on it."""


@dataclass
class TrainerConfig:
    """Devices, precision, and length of a run, as Lightning's Trainer names them.

    generate.py takes accelerator, devices, num_nodes, strategy, precision and num_threads of it,
    evaluate.py and predict.py accelerator and num_threads (and, of a clip, precision); the rest is
    of training.
    """

    accelerator: str = "auto"
    """auto (a GPU where there is one), cpu, or gpu (refused where there is none)."""
    devices: int = 1
    """GPUs of each node that share the work, or processes on a CPU; -1: all there are."""
    num_nodes: int = 1
    """Machines that share the work."""
    strategy: str = "auto"
    """How devices work together in training: auto, ddp, or ddp_find_unused_parameters_true (for a
    selector of your own that leaves parameters unused in a step)."""
    precision: str = "32-true"
    """32-true (float32), or bf16-mixed or 16-mixed (half of the bits where it does no harm); how
    generate.py stores object tokens follows it, see token_dtype."""
    max_epochs: int = 15
    """Passes over the training split."""
    gradient_clip_val: float = 1.0
    """Largest L2 norm of all gradients together; 0: not clipped."""
    accumulate_grad_batches: int = 1
    """Steps whose gradients are averaged before the optimiser takes one of its own."""
    check_val_every_n_epoch: int = 1
    """Epochs from one validation to the next; a shorter run is validated at its end."""
    fast_dev_run: bool = False
    """One batch of training and one of validation, to see whether it runs at all; nothing is logged
    or saved."""
    limit_train_batches: float = 1.0
    """Batches an epoch: up to 1 a share of them (1 is all), above 1 a number."""
    limit_val_batches: float = 1.0
    """The same for validation; never 0, as best.ckpt is chosen by it."""
    num_threads: int = 0
    """CPU threads of torch, in each process; 0: torch's choice."""
    early_stopping_patience: int | None = None
    """Training ends after so many validations without a better valid/J&F; None: it does not."""
    ema_decay: float | None = None
    """Validated and saved are the weights' exponential moving average over steps, with this decay;
    None: the weights themselves."""
    checkpoint_every_n_steps: int | None = None
    """Optimiser steps from one last.ckpt to the next within an epoch; None: not by steps. After
    every epoch it is written anyhow."""
    checkpoint_every_n_minutes: float | None = 10.0
    """The same by minutes; None: not by time."""


@dataclass
class LoggerConfig:
    """Where a run shows its numbers and videos."""

    name: str = "csv"
    """wandb, tensorboard or csv."""
    project: str = "sola"
    """W&B's project; this and the next two are of W&B alone."""
    group: str | None = None
    """Runs of a group are shown together; None: those of a sweep, by its folder's name."""
    run_name: str | None = None
    """None: what was typed, such as "seed=1"."""
    log_every_n_steps: int = 10
    """Optimiser steps from one row of losses, learning rate and gradient norms to the next."""
    num_examples: int = 8
    """Validation expressions shown as videos, evenly taken from the split; videos of generation. Of
    wandb and tensorboard, as all below."""
    examples_every_n_validations: int = 1
    """Validations from one table of examples to the next; 1: every one."""
    example_frames: int = 32
    """Frames of such a video at most, evenly taken."""
    keep_checkpoint: bool = True
    """Whether W&B gets best.ckpt itself, at the end, or only its path and checksum."""


@dataclass
class PathsConfig:
    """Folders, which follow data_root and hydra.run.dir: change those."""

    data_dir: str = "data"
    """Holds datasets, tracks/, prompts/, text/ and cache/."""
    output_dir: str = MISSING
    """Folder of this run, hydra.run.dir."""
