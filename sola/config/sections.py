"""Sections of the configuration with plain values: folders, data, clips, dashboards."""

from dataclasses import asdict, dataclass
from typing import Any

from sola.checks import above, at_least, between, one_of
from sola.errors import UserError


@dataclass
class Paths:
    """Folders; they follow data_root and hydra.run.dir, so change those instead."""

    data_dir: str = "data"
    """Folder of data sets, tracks/, prompts/, text/ and cache/."""
    output_dir: str = "outputs"
    """Folder of this run, hydra.run.dir."""


@dataclass
class DashboardOptions:
    """Examples and files that a run logs to W&B and TensorBoard."""

    num_examples: int = 8
    """Number of validation expressions (in generation: videos) shown as clips, evenly spaced."""
    examples_every_n_validations: int = 1
    """Log the table of examples at every n-th validation."""
    example_frames: int = 32
    """Largest number of frames of an example, evenly spaced."""
    keep_checkpoint: bool = True
    """Upload best.ckpt to W&B at the end."""

    def __post_init__(self) -> None:
        at_least(0, num_examples=self.num_examples)
        at_least(1, example_frames=self.example_frames)
        at_least(1, examples_every_n_validations=self.examples_every_n_validations)


@dataclass
class ClipOptions:
    """Frames of a clip to track: every n-th, with the smallest n that keeps to all limits."""

    start_s: float = 0.0
    """Leave out earlier frames, in seconds after the first frame."""
    end_s: float | None = None
    """Leave out the frames from this time on; null: up to the end."""
    stride: int = 1
    """Track at most every stride-th frame."""
    max_fps: float | None = 10.0
    """Track at most this many frames per second, on average; null: no limit."""
    max_frames: int | None = 300
    """Track at most this many frames; null: no limit."""
    max_side_px: int | None = None
    """Scale frames down to this longer side before they are tracked; null: full size. Masks always
    have the size of the clip."""
    between: str = "nearest"
    """Frames between tracked ones: nearest (the masks of the tracked frame nearest in time) or none
    (masks and overlays of tracked frames only)."""

    def __post_init__(self) -> None:
        at_least(0, start_s=self.start_s)
        above(self.start_s, end_s=self.end_s)
        at_least(1, stride=self.stride, max_frames=self.max_frames, max_side_px=self.max_side_px)
        above(0, max_fps=self.max_fps)
        one_of(("nearest", "none"), between=self.between)

    def of_tracking(self) -> dict[str, Any]:
        """Return the options that change the tracked frames, as floats or None."""
        values = {key: value for key, value in asdict(self).items() if key != "between"}
        return {key: None if value is None else float(value) for key, value in values.items()}


@dataclass
class DataOptions:
    """Tracks to train and validate on, sizes of steps, and the rule for positives."""

    train_sources: list[str]
    """Prompt sources of the training tracks. The candidates of an expression are the tracks of its
    video (gt, grid) and the tracks made for the expression (gdino)."""
    valid_sources: list[str]
    """Prompt sources of the validation tracks."""
    group_by: str = "expression"
    """expression: one expression per sample (the paper); video: all expressions of a video, which
    share its tracks. With gdino in train_sources tracks are not shared, and a sample is one
    expression. Validation always goes by video if tracks are shared."""
    batch_size: int = 1
    """Samples per step, on each device."""
    max_tokens: int | None = None
    """Instead of batch_size: pack samples into steps of at most this many object tokens, counted as
    expressions x tracks x frames. Videos with more are split by expressions."""
    max_expressions: int | None = None
    """With group_by=video: a video with more expressions gives several samples; null: one."""
    window: int = 32
    """Number of videos whose samples are shuffled together. Each worker reads their tracks once and
    keeps them in memory until all are used. The videos are shuffled every epoch."""
    num_workers: int = 0
    """Number of processes that load samples, on each device; results do not depend on it."""
    max_videos: int | None = None
    """Train on only the first n videos of the train split (of each data set); null: on all."""
    label_iou: float = 0.7
    """A track is positive if its best IoU over the expression's objects is above this."""
    empty_frames: str = "count"
    """Frames empty in both track and object: count (IoU 1, the published rule) or skip."""

    def __post_init__(self) -> None:
        check_sources(train_sources=self.train_sources, valid_sources=self.valid_sources)
        one_of(("expression", "video"), group_by=self.group_by)
        one_of(("count", "skip"), empty_frames=self.empty_frames)
        at_least(1, batch_size=self.batch_size, max_tokens=self.max_tokens, window=self.window)
        at_least(1, max_expressions=self.max_expressions, max_videos=self.max_videos)
        at_least(0, num_workers=self.num_workers)
        between(0, 1, label_iou=self.label_iou)
        if self.max_tokens is not None and self.batch_size > 1:
            raise UserError("batch_size: leave it at 1, max_tokens sets the size of a step.")


def check_sources(**lists: list[str]) -> None:
    """Check that lists of prompt sources are not empty and have no duplicates.

    Raises:
        UserError: if a list is empty or names a source twice.
    """
    for name, sources in lists.items():
        if not sources:
            raise UserError(f"{name}: at least one prompt source is required, such as [grid].")
        if len(set(sources)) < len(sources):
            raise UserError(f"{name}: a source is named twice, got {sources}.")
