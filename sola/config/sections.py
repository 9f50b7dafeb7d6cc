"""Sections of the configuration that hold plain values: folders, data, dashboards."""

from dataclasses import dataclass

from sola.checks import at_least, between, one_of
from sola.errors import UserError


@dataclass
class Paths:
    """Folders, which follow data_root and hydra.run.dir: change those."""

    data_dir: str = "data"
    """Holds datasets, tracks/, prompts/, text/ and cache/."""
    output_dir: str = "outputs"
    """Folder of this run, hydra.run.dir."""


@dataclass
class DashboardOptions:
    """Examples and files that a run logs to W&B and TensorBoard."""

    num_examples: int = 8
    """Validation expressions (videos of a generation) shown as videos, evenly taken."""
    examples_every_n_validations: int = 1
    """Validations from one table of examples to the next."""
    example_frames: int = 32
    """Frames of such a video at most, evenly taken."""
    keep_checkpoint: bool = True
    """Upload best.ckpt to W&B at the end."""

    def __post_init__(self) -> None:
        at_least(0, num_examples=self.num_examples)
        at_least(1, example_frames=self.example_frames)
        at_least(1, examples_every_n_validations=self.examples_every_n_validations)


@dataclass
class DataOptions:
    """Tracks to train and validate on, sizes of steps, and the rule for positives."""

    train_sources: list[str]
    """Prompt sources of the training tracks. An expression chooses among the tracks of its video
    (gt, grid) and those made for itself (gdino)."""
    valid_sources: list[str]
    """The same for validation."""
    group_by: str = "expression"
    """expression: one a sample (the paper); video: all expressions of a video share its tracks.
    With gdino among train_sources each has tracks of its own, and a sample is one expression.
    Validation goes by video wherever tracks are shared."""
    batch_size: int = 1
    """Samples of a step, on each device."""
    max_tokens: int | None = None
    """Instead of batch_size: samples are packed into steps of at most so many object tokens, which
    are expressions x tracks x frames, summed over the step; a video is cut to it by expressions."""
    window: int = 32
    """Number of videos whose samples are shuffled together; their tracks are read once and kept in
    memory, by every worker, until all are seen. Videos themselves are shuffled every epoch."""
    num_workers: int = 0
    """Processes that load samples, on each device; no result depends on it."""
    label_iou: float = 0.7
    """A track is positive when its best IoU over the expression's objects is above this."""
    empty_frames: str = "count"
    """Frames empty in track and object: count (IoU 1, the published rule) or skip."""

    def __post_init__(self) -> None:
        check_sources(train_sources=self.train_sources, valid_sources=self.valid_sources)
        one_of(("expression", "video"), group_by=self.group_by)
        one_of(("count", "skip"), empty_frames=self.empty_frames)
        at_least(1, batch_size=self.batch_size, max_tokens=self.max_tokens, window=self.window)
        at_least(0, num_workers=self.num_workers)
        between(0, 1, label_iou=self.label_iou)
        if self.max_tokens is not None and self.batch_size > 1:
            raise UserError("batch_size: leave it at 1, max_tokens sets the size of a step.")


def check_sources(**lists: list[str]) -> None:
    """Refuse lists of prompt sources that are empty or name one twice.

    Raises:
        UserError: if one is.
    """
    for name, sources in lists.items():
        if not sources:
            raise UserError(f"{name}: at least one prompt source is required, such as [grid].")
        if len(set(sources)) < len(sources):
            raise UserError(f"{name}: a source is named twice, got {sources}.")
