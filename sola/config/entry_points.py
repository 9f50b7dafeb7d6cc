"""Configuration of each command: checked plain values, and objects built from conf/.

Fields marked ``LATER`` hold state (networks, optimisers, trainers). They are checked with the rest
and built by the run itself, see ``sola.config.targets.Later``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sola.checks import at_least, between, one_of
from sola.config.run_config import LATER, LATER_BY_NAME, LATER_PARTIAL, RunConfig
from sola.config.sections import ClipOptions, DashboardOptions, DataOptions, check_sources
from sola.config.targets import Later, locate
from sola.errors import UserError

if TYPE_CHECKING:
    import pytorch_lightning as pl
    import torch
    from pytorch_lightning.callbacks import Callback
    from pytorch_lightning.loggers import Logger

    from sola.datasets import Dataset
    from sola.prompts import PromptSource
    from sola.selector import Loss, Selector
    from sola.text import TextEncoder
    from sola.trackers import Tracker
    from sola.types import Masklet

PRECISIONS = ("32-true", "bf16-mixed", "16-mixed")
"""Allowed precisions; weights are float32 in all of them."""
TOKEN_DTYPES = ("auto", "float16", "float32")
EXPORTS = ("coco",)
"""Formats that predict.py writes besides PNGs."""
KINDS = {
    "dataset": "sola.datasets.Dataset",
    "prompt_source": "sola.prompts.PromptSource",
    "tracker": "sola.trackers.Tracker",
    "loss": "sola.selector.Loss",
}
"""Base classes of the objects built, by key."""
TRACKING = ("accelerator", "devices", "num_nodes", "strategy", "precision", "plugins", "profiler")
"""Arguments of Lightning's Trainer that generate.py uses; train.py accepts all."""
SCORING = {"devices": 1, "num_nodes": 1, "precision": "32-true"}
"""Fixed arguments of the Trainer when a selector scores, besides accelerator and strategy."""


@dataclass
class GenerateConfig(RunConfig):
    """Options of generate.py."""

    dataset: Dataset = field(kw_only=True)
    prompt_source: PromptSource = field(kw_only=True)
    tracker: Tracker = field(kw_only=True)
    trainer: Later[pl.Trainer] = field(kw_only=True, metadata=LATER)
    split: str = field(kw_only=True)
    """The split whose videos are tracked, such as train or valid_u."""
    dashboard: DashboardOptions = field(default_factory=DashboardOptions)
    token_dtype: str = "auto"
    """Data type of object tokens on disk: float16, float32 or auto. auto is float16 if the
    trainer's precision is bf16-mixed (float16 then holds the tokens exactly), else float32."""
    part: int = 0
    """Index of this job among the jobs that share the videos: 0 to num_parts - 1."""
    num_parts: int = 1
    """Number of jobs that share the videos; each takes the next free video."""
    strict: bool = False
    """Whether the first video that cannot be tracked ends the run; if not, the other videos are
    tracked first."""
    logger: Later[Logger] | None = field(default=None, metadata=LATER)
    """null: log only to the terminal."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.refuse_trainer(TRACKING, {})
        one_of(TOKEN_DTYPES, token_dtype=self.token_dtype)
        at_least(1, num_parts=self.num_parts)
        between(0, self.num_parts - 1, part=self.part)
        self.dataset.refuse_joint()
        labelled = (self.dataset.train_split, self.dataset.valid_split)
        if self.prompt_source.needs_ground_truth and self.split not in labelled:
            raise UserError(
                f"split={self.split}: prompt_source={self.prompt_source.name} needs ground truth, "
                f"which only {' and '.join(labelled)} of {self.dataset.name} have. Use "
                "prompt_source=grid."
            )


@dataclass
class TrainConfig(RunConfig):
    """Options of train.py."""

    dataset: Dataset = field(kw_only=True)
    tracker: Tracker = field(kw_only=True)
    text_encoder: TextEncoder = field(kw_only=True)
    selector: Later[Selector] = field(kw_only=True, metadata=LATER)
    loss: Loss = field(kw_only=True)
    optimizer: Later[torch.optim.Optimizer] = field(kw_only=True, metadata=LATER_PARTIAL)
    trainer: Later[pl.Trainer] = field(kw_only=True, metadata=LATER)
    data: DataOptions = field(kw_only=True)
    scheduler: Later[Any] | None = field(default=None, metadata=LATER_PARTIAL)
    """null (~scheduler): constant learning rate."""
    callbacks: dict[str, Later[Callback | None]] = field(
        default_factory=dict, metadata=LATER_BY_NAME
    )
    """Callbacks by name: best.ckpt, last.ckpt, early stopping, and your own."""
    logger: Later[Logger] | None = field(default=None, metadata=LATER)
    """null (~logger): log only to the terminal."""
    dashboard: DashboardOptions = field(default_factory=DashboardOptions)
    threshold: float = 0.5
    """A track is selected if its score (0 to 1) is above this."""
    ckpt_path: str | None = None
    """Resume from this last.ckpt; null: start a new run, unless ``resume`` is true."""
    resume: bool = False
    """Resume from last.ckpt in the output folder if it exists, else start a new run."""

    def __post_init__(self) -> None:
        super().__post_init__()
        between(0, 1, threshold=self.threshold)
        precision = self.trainer.node.get("precision") or PRECISIONS[0]
        one_of(PRECISIONS, **{"trainer.precision": precision})
        if self.resume and self.ckpt_path is not None:
            raise UserError(f"ckpt_path: give either resume=true or ckpt_path={self.ckpt_path}.")


@dataclass
class ScoringConfig(RunConfig):
    """Options that evaluate.py and predict.py share."""

    dataset: Dataset = field(kw_only=True)
    tracker: Tracker = field(kw_only=True)
    text_encoder: TextEncoder = field(kw_only=True)
    trainer: Later[pl.Trainer] = field(kw_only=True, metadata=LATER)
    split: str = field(kw_only=True)
    """The split whose expressions are answered."""
    sources: list[str] = field(kw_only=True)
    """Prompt sources of the candidate tracks."""
    selector: Later[Selector] | None = field(default=None, metadata=LATER)
    """Usually ignored: the checkpoint names its selector. Name a class outside sola here to allow
    it. Without ckpt_path: a scorer that needs no training, such as detection."""
    ckpt_path: str | None = None
    """The selector: a best.ckpt, or a folder of save_pretrained."""
    threshold: float | None = None
    """A track is selected if its score (0 to 1) is above this. null: the threshold recorded in the
    checkpoint, or the scorer's own."""

    @property
    def needs_checkpoint(self) -> bool:
        """Whether a trained selector scores the tracks."""
        return bool(self._of_scorer("needs_checkpoint", True))

    @property
    def needs_evidence(self) -> bool:
        """Whether all tracks need scores of a detector."""
        return bool(self._of_scorer("needs_evidence", False))

    def _of_scorer(self, name: str, default: bool) -> bool:
        if self.selector is None:
            return default
        return bool(getattr(locate(self.selector.node["_target_"], "selector"), name, default))

    @property
    def own_selectors(self) -> tuple[str, ...]:
        """Import paths of selectors that a checkpoint may name besides sola's own."""
        return () if self.selector is None else (str(self.selector.node["_target_"]),)

    def __post_init__(self) -> None:
        super().__post_init__()
        between(0, 1, threshold=self.threshold)
        if self.ckpt_path is not None and not self.needs_checkpoint:
            raise UserError(
                "ckpt_path: has no effect, as the configured selector needs no training. Leave out "
                "one of ckpt_path and selector."
            )
        check_sources(sources=self.sources)
        self.dataset.refuse_joint()


@dataclass
class EvaluateConfig(ScoringConfig):
    """Options of evaluate.py."""

    predictions: str | None = None
    """Masks of any system to score instead of a selector: a zip or a folder in the layout of a
    submission. Then only dataset, split, missing, metric and num_workers have an effect."""
    missing: str = "error"
    """Expressions that lack masks among the predictions: error, or zero (each counts 0)."""
    num_workers: int = 0
    """Number of additional processes that measure, with the same results; 0: none."""
    metric: dict[str, Callable[[Masklet, Masklet], float]] = field(default_factory=dict)
    """Your own metrics besides J and F, by name (docs/adding_a_metric.md)."""
    report: bool = False
    """Also write the folder report for a browser (only for a selector)."""
    report_against: str | None = None
    """Output folder of another run of evaluate.py on the same split, to compare in the report."""

    def __post_init__(self) -> None:
        super().__post_init__()
        one_of(("error", "zero"), missing=self.missing)
        if not isinstance(self.metric, dict):
            raise UserError(f"metric: must be functions by name, got {self.metric!r}.")
        for name, metric in self.metric.items():
            if not callable(metric):
                raise UserError(f"metric.{name}: must be a function, got {metric!r}.")
        at_least(0, num_workers=self.num_workers)
        if not (self.ckpt_path or self.predictions) and self.needs_checkpoint:
            raise UserError(
                "ckpt_path: required. Add ckpt_path=..., or predictions=... (masks to score), or "
                "selector=detection sources=[gdino], which needs no training."
            )
        if self.ckpt_path and self.predictions:
            raise UserError("ckpt_path: give either ckpt_path or predictions.")
        if self.report and self.predictions:
            raise UserError("report: shows the tracks of a selector; leave out predictions.")
        if self.report_against and not self.report:
            raise UserError("report_against: needs report=true.")
        self.refuse_trainer(("accelerator", "strategy"), SCORING)


@dataclass
class PredictConfig(ScoringConfig):
    """Options of predict.py."""

    prompt_sources: dict[str, PromptSource] = field(kw_only=True)
    """Prompt sources for the tracks of a clip; ``sources`` chooses among them."""
    num_overlays: int = 8
    """Number of expressions drawn as overlay pictures, evenly spaced in the split; 0: none."""
    submission: bool = False
    """Pack the masks into submission.zip for the benchmark's server, and check it."""
    export: list[str] | str = field(default_factory=list)
    """Formats of further files with the masks: coco writes masks.coco.json."""
    video: str | None = None
    """Your own clip instead of a split: a video file, or a folder of images."""
    expressions: list[str] = field(default_factory=list)
    """Sentences about the clip; each gets its masks and an overlay video."""
    expression: str | None = None
    """One sentence about the clip, of any characters, instead of ``expressions``."""
    expressions_file: str | None = None
    """A text file (UTF-8) with a sentence about the clip on each line, instead of them."""
    clip: ClipOptions = field(default_factory=ClipOptions)
    """The frames of the clip to track."""

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(0, num_overlays=self.num_overlays)
        self.export = [self.export] if isinstance(self.export, str) else self.export
        for name in self.export:
            one_of(EXPORTS, export=name)
        if self.ckpt_path is None and self.needs_checkpoint:
            raise UserError(
                "ckpt_path: required. Add ckpt_path=..., or selector=detection sources=[gdino], "
                "which needs no training."
            )
        given = [self.expressions, self.expression, self.expressions_file]
        example = "expression='the dog, running left'"
        if self.video is None:
            if any(given):
                raise UserError(f"expressions: need a video: video=clip.mp4 {example}")
            if self.clip != ClipOptions():
                raise UserError("clip: needs a video: video=clip.mp4")
            self.refuse_trainer(("accelerator", "strategy"), SCORING)
            return
        if not self.video.strip():
            raise UserError("video: is empty. Give a video file or a folder of images.")
        if sum(map(bool, given)) != 1:
            raise UserError(
                f"expressions: give sentences about {self.video} by one of expression, expressions "
                f"and expressions_file, such as {example}"
            )
        if any(not text.strip() for text in self.expressions):
            raise UserError("expressions: a sentence is empty.")
        if self.submission:
            raise UserError("submission: packs the masks of a split. Leave it out with video=...")
        if self.split != self.dataset.valid_split:
            raise UserError("split: give either split or video.")
        self.refuse_trainer(
            ("accelerator", "strategy", "precision", "plugins"), {"devices": 1, "num_nodes": 1}
        )
        for source in self.sources:
            one_of(tuple(self.prompt_sources), sources=source)
            if self.needs_evidence and not self.prompt_sources[source].is_by_expression:
                raise UserError(
                    f"sources: selector=detection needs the tracks of a detector, got {source}. "
                    "Use sources=[gdino]."
                )


@dataclass
class DownloadConfig(RunConfig):
    """Options of sola download."""

    tracker: Tracker | None = None
    prompt_source: PromptSource | None = None
    text_encoder: TextEncoder | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.parts:
            raise UserError(
                "tracker, prompt_source, text_encoder: none is chosen. Add one or more, such as "
                "tracker=sam2.1_hiera_large prompt_source=gdino text_encoder=all_roberta_large_v1"
            )

    @property
    def parts(self) -> dict[str, Any]:
        """Return the chosen parts by group name."""
        groups = ("tracker", "prompt_source", "text_encoder")
        return {name: part for name in groups if (part := getattr(self, name)) is not None}


@dataclass
class CheckConfig(RunConfig):
    """Options of sola check data."""

    dataset: Dataset = field(kw_only=True)
    split: str | None = None
    """The split to check; null: all splits on disk."""
    decode: bool = True
    """Decode every frame; false: read only the headers of the files."""
    num_threads: int = 4
    """Number of threads that read frames."""

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(1, num_threads=self.num_threads)
