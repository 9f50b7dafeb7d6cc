"""Rules that types cannot state; here those between sections, and of whole entry points."""

from typing import Any

from sola.config.rules import (
    Problems,
    at_least,
    in_unit_interval,
    one_of,
)
from sola.config.schema import (
    DatasetConfig,
    PredictConfig,
    PromptSourceConfig,
    TrainConfig,
)
from sola.config.sections import (
    CHECKS,
    CLIP_SOURCES,
    JOINT,
    TOKEN_DTYPES,
    TRAINING_PRECISIONS,
    check_prompt_source,
    known_sources,
)
from sola.errors import UserError


def validate(config: Any) -> None:
    """Checks an entry point's configuration as a whole.

    Args:
        config: configuration of an entry point, fully resolved.

    Raises:
        UserError: if a rule is broken; the message has one line for each broken rule.
    """
    problems = list(_problems(config))
    if problems:
        raise UserError("\n".join(problems))


def _problems(config: Any) -> Problems:
    for name, section in vars(config).items():
        check = CHECKS.get(type(section))
        if check is not None:
            yield from check(name, section)
    top = vars(config)
    if isinstance(config, TrainConfig):
        yield from one_of("trainer.precision", config.trainer.precision, TRAINING_PRECISIONS)
        if config.resume and config.ckpt_path is not None:
            yield f"resume=true and ckpt_path={config.ckpt_path}: give one of the two."
    if "token_dtype" in top:
        yield from one_of("token_dtype", top["token_dtype"], TOKEN_DTYPES)
    if "threshold" in top:
        yield from in_unit_interval("threshold", top["threshold"])
    if "num_threads" in top:
        yield from at_least(1, "num_threads", top["num_threads"])
    if "predictions" in top:
        yield from one_of("missing", top["missing"], ("error", "zero"))
        if not (top["ckpt_path"] or top["predictions"]):
            yield "ckpt_path is missing: the selector to measure (or predictions: masks to score)."
        if top["ckpt_path"] and top["predictions"]:
            yield (
                f"ckpt_path={top['ckpt_path']} and predictions={top['predictions']}: give one of "
                "the two."
            )
        if top["report"] and top["predictions"]:
            yield "report=true shows the tracks of a selector: give ckpt_path, not predictions."
        if top["report_against"] and not top["report"]:
            yield "report_against is the run that a report compares with; give report=true too."
        if len(set(top["metrics"])) < len(top["metrics"]):
            yield f"metrics is {top['metrics']}: a metric is named twice."
    if "num_workers" in top:
        yield from at_least(0, "num_workers", top["num_workers"])
        if (config.trainer.devices, config.trainer.num_nodes) != (1, 1):
            yield (
                f"trainer.devices={config.trainer.devices} "
                f"trainer.num_nodes={config.trainer.num_nodes}: evaluate.py scores on one device. "
                "num_workers=8 shares the measuring among processes."
            )
    if "num_parts" in top:
        yield from _check_parts(top["part"], top["num_parts"])
    if "num_overlays" in top:
        yield from at_least(0, "num_overlays", top["num_overlays"])
    if "sources" in top:
        yield from known_sources("sources", top["sources"])
    if top.get("split") is not None:
        yield from _check_split(top["split"], top["dataset"])
    if "prompt_source" in top or "sources" in top:
        yield from _check_is_one(top["dataset"])
    if "prompt_source" in top and "split" in top:
        yield from _check_labels_exist(top["prompt_source"], top["split"], top["dataset"])
    if isinstance(config, PredictConfig):
        yield from _check_clip(config)


def _check_split(split: str, dataset: DatasetConfig) -> Problems:
    if dataset.maker is not None:
        yield from one_of("split", split, tuple(dataset.maker.num_videos))


def _check_parts(part: int, num_parts: int) -> Problems:
    yield from at_least(1, "num_parts", num_parts)
    if num_parts >= 1 and not 0 <= part < num_parts:
        yield f"part is {part}; with num_parts={num_parts} it lies in 0..{num_parts - 1}."


def _check_is_one(dataset: DatasetConfig) -> Problems:
    """Tracks and numbers are those of one data set."""
    if dataset.layout == JOINT:
        choices = " or ".join(f"dataset={part.name}" for part in dataset.parts.values())
        yield f"dataset={dataset.name} is there to be trained on. Here, choose {choices}."


def _check_labels_exist(source: PromptSourceConfig, split: str, dataset: DatasetConfig) -> Problems:
    if source.name == "gt" and split not in (dataset.train_split, dataset.valid_split):
        yield (
            f"prompt_source=gt needs ground-truth masks, which split {split} of {dataset.name} "
            f"lacks. Take prompt_source=grid, or split {dataset.train_split} or "
            f"{dataset.valid_split}."
        )


def _check_clip(config: PredictConfig) -> Problems:
    """A user's own video takes the place of a split."""
    example = '\'expressions=["the dog running left", "the ball"]\''
    if config.video is None:
        if config.expressions:
            yield f"expressions is given without video. Say which: video=clip.mp4 {example}"
        return
    if not config.video.strip():
        yield "video is empty; it names a video file or a folder of images."
    if not config.expressions:
        yield f"expressions is empty. Say what to look for in {config.video}: {example}"
    if any(not text.strip() for text in config.expressions):
        yield "expressions holds an empty sentence; each says what to look for."
    if config.submission:
        yield "submission=true packs the masks of a benchmark's split; leave it out with video=..."
    if config.split != config.dataset.valid_split:
        yield f"split={config.split} and video={config.video}: give one of the two."
    if config.trainer.devices != 1 or config.trainer.num_nodes != 1:
        yield "video is tracked by one process: say trainer.devices=1 trainer.num_nodes=1."
    for source in config.sources:
        yield from one_of("sources", source, CLIP_SOURCES)
        if source in CLIP_SOURCES:
            rule = getattr(config.prompt_sources, source)
            yield from check_prompt_source(f"prompt_sources.{source}", rule)
