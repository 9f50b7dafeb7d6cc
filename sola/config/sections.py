"""Rules of each section: ranges, known names, and what must hold between its fields."""

from collections.abc import Callable
from itertools import combinations
from typing import Any

from sola.config.by_name import names_of
from sola.config.rules import (
    Problems,
    above_zero,
    at_least,
    divisible,
    in_unit_interval,
    one_of,
)
from sola.config.schema import (
    DataConfig,
    DatasetConfig,
    DetectorNetworkConfig,
    LoggerConfig,
    LossConfig,
    MaskGeneratorConfig,
    MovingShapesConfig,
    OptimizerConfig,
    PromptSourceConfig,
    SelectorConfig,
    TextEncoderConfig,
    TrackerConfig,
    TrainerConfig,
)

JOINT = "joint"
LAYOUTS = (
    *names_of(
        "dataset",
        "datasets",
        ("mevis", "mevis_v2", "ref_youtube_vos", "ref_davis", "moving_shapes"),
    ),
    JOINT,
)
PROMPT_SOURCES = names_of("prompt_source", "prompts", ("gt", "grid", "gdino"))
CLIP_SOURCES = ("grid", "gdino")
DETECTORS = ("transformers", "groundingdino")
LOGGERS = ("wandb", "tensorboard", "csv")
ACCELERATORS = ("auto", "cpu", "gpu")
STRATEGIES = ("auto", "ddp", "ddp_find_unused_parameters_true")
FIRST_TRACKER_SEED = 10_000_000
"""The small tracker was trained on the scenes of this seed and of those above it."""
PRECISIONS = ("32-true", "bf16-mixed", "16-mixed", "bf16-true", "16-true", "64-true")
TOKEN_DTYPES = ("auto", "float16", "float32")
TRAINING_PRECISIONS = ("32-true", "bf16-mixed", "16-mixed")
"""The weights themselves stay float32."""


def _check_dataset(name: str, section: DatasetConfig) -> Problems:
    yield from one_of(f"{name}.layout", section.layout, LAYOUTS)
    if "/" in section.name or section.name in ("", ".", ".."):
        yield f"{name}.name is {section.name!r}; it names a folder and cannot hold a '/'."
    if section.layout == JOINT and not section.parts:
        yield f"{name}.layout is {JOINT}, which needs {name}.parts: the data sets to put together."
    for key, part in section.parts.items():
        yield from one_of(f"{name}.parts.{key}.layout", part.layout, LAYOUTS[:-1])
    top_dir = section.submission_top_dir
    if "/" in top_dir or top_dir in (".", ".."):
        yield f"{name}.submission_top_dir is {top_dir!r}; it names one folder, or is empty."
    if section.layout == "moving_shapes" and section.maker is None:
        yield f"{name}.layout is moving_shapes, which needs {name}.maker: how to make the videos."
    if section.maker is not None:
        yield from _check_maker(f"{name}.maker", section.maker)


def _check_maker(name: str, section: MovingShapesConfig) -> Problems:
    for key in ("num_frames", "frame_size_px", "min_objects", "expressions_per_video"):
        yield from at_least(1, f"{name}.{key}", getattr(section, key))
    if section.max_objects < section.min_objects:
        yield (
            f"{name}.max_objects is {section.max_objects}, below {name}.min_objects "
            f"({section.min_objects})."
        )
    if not 1 <= section.jpeg_quality <= 100:
        yield f"{name}.jpeg_quality is {section.jpeg_quality}; it lies in 1..100."
    if set(section.num_videos) != set(section.first_seed):
        yield (
            f"{name}.num_videos names the splits {sorted(section.num_videos)}, {name}.first_seed "
            f"{sorted(section.first_seed)}; both need the same ones."
        )
        return
    for split, count in section.num_videos.items():
        yield from at_least(1, f"{name}.num_videos.{split}", count)
        yield from at_least(0, f"{name}.first_seed.{split}", section.first_seed[split])
        end = section.first_seed[split] + count
        if end > FIRST_TRACKER_SEED:
            yield (
                f"{name}: the seeds of {split} reach to {end - 1}, and the small tracker was "
                f"trained on those from {FIRST_TRACKER_SEED} up. Lower {name}.first_seed.{split}."
            )
    for a, b in combinations(sorted(section.num_videos, key=section.first_seed.__getitem__), 2):
        end = section.first_seed[a] + section.num_videos[a]
        if end > section.first_seed[b]:
            yield (
                f"{name}: the seeds of {a} reach to {end - 1} and those of {b} start at "
                f"{section.first_seed[b]}: the two splits would share videos. "
                f"Move {name}.first_seed.{b}."
            )


def check_prompt_source(name: str, section: PromptSourceConfig) -> Problems:
    """The rules of a prompt source."""
    for problem in one_of(f"{name}.name", section.name, PROMPT_SOURCES):
        yield (
            f"{problem} A source of your own is sola/prompts/{section.name}.py with "
            f"conf/prompt_source/{section.name}.yaml, which has that name."
        )
    yield from one_of(f"{name}.frames", section.frames, ("first", "largest", "even"))
    if section.frames != "even" and section.frames_per_object > 1:
        yield (
            f"{name}.frames_per_object is {section.frames_per_object}, but {name}.frames="
            f"{section.frames} is a single frame. Set {name}.frames=even."
        )
    positive = ("frames_per_object", "frame_stride", "group_size", "group_size_long")
    for key in (*positive, "long_video_frames"):
        yield from at_least(1, f"{name}.{key}", getattr(section, key))
    if section.max_tracks is not None:
        yield from at_least(1, f"{name}.max_tracks", section.max_tracks)
    for key in ("part_overlap", "duplicate_iou"):
        yield from in_unit_interval(f"{name}.{key}", getattr(section, key))
    if section.name == "gdino":
        yield from _check_detector(name, section)


def _check_detector(name: str, section: PromptSourceConfig) -> Problems:
    yield from one_of(f"{name}.detector", section.detector, DETECTORS)
    if section.detector_checkpoint is None:
        yield (
            f"{name}.detector_checkpoint is not given; needed is groundingdino_swint_ogc.pth or "
            "another .pth file, a folder of transformers, or random."
        )
    for key in ("box_threshold", "text_threshold", "stability_threshold"):
        yield from in_unit_interval(f"{name}.{key}", getattr(section, key))
    yield from at_least(1, f"{name}.shortest_edge_px", section.shortest_edge_px)
    edge = f"{name}.longest_edge_px"
    yield from at_least(section.shortest_edge_px, edge, section.longest_edge_px)
    if section.detector_network is None:
        yield f"{name}.detector_network is not given; choose {name}/detector_network=swin_t."
    else:
        yield from _check_detector_network(f"{name}.detector_network", section.detector_network)


def _check_detector_network(name: str, section: DetectorNetworkConfig) -> Problems:
    numbers = {key: value for key, value in vars(section).items() if isinstance(value, int)}
    for key, value in numbers.items():
        minimum = 2 if key == "decoder_layers" else 1  # transformers ties the first's to the others
        yield from at_least(minimum, f"{name}.{key}", value)
    for key in ("swin_depths", "swin_heads"):
        if len(getattr(section, key)) != 4:
            yield f"{name}.{key} is {getattr(section, key)}; the image encoder has 4 stages."
    # half of the heads attend from text to text and between text and image
    if section.num_heads % 2:
        yield f"{name}.num_heads is {section.num_heads}; half of them must be a whole number."
    for width, heads in (("hidden_dim", "num_heads"), ("bert_dim", "bert_heads")):
        if numbers[heads] > 0:
            yield from divisible(f"{name}.{width}", numbers[width], heads, numbers[heads])


def _check_tracker(name: str, section: TrackerConfig) -> Problems:
    yield from at_least(1, f"{name}.token_dim", section.token_dim)
    yield from at_least(0, f"{name}.fill_hole_area", section.fill_hole_area)
    yield from _check_mask_generator(f"{name}.mask_generator", section.mask_generator)


def _check_mask_generator(name: str, section: MaskGeneratorConfig) -> Problems:
    for key in ("points_per_side", "points_per_batch"):
        yield from at_least(1, f"{name}.{key}", getattr(section, key))
    for key in ("pred_iou_thresh", "stability_score_thresh", "box_nms_thresh"):
        yield from in_unit_interval(f"{name}.{key}", getattr(section, key))


def _check_text_encoder(name: str, section: TextEncoderConfig) -> Problems:
    yield from at_least(1, f"{name}.dim", section.dim)
    yield from at_least(1, f"{name}.batch_size", section.batch_size)


def _check_selector(name: str, section: SelectorConfig) -> Problems:
    counts = ("token_dim", "text_dim", "num_layers", "num_heads", "num_groups")
    given = {key: vars(section)[key] for key in counts if vars(section)[key] is not None}
    broken = [line for key in given for line in at_least(1, f"{name}.{key}", given[key])]
    yield from broken
    for key in ("num_heads", "num_groups"):
        if key in given and not broken:
            yield from divisible(f"{name}.text_dim", section.text_dim, key, given[key])
    if section.name == "track_selector" and not broken:
        # The convolutions of the short-term motion encoder have twice the token's width.
        width, groups = 2 * section.token_dim, given.get("num_groups", 1)
        yield from divisible(f"2 * {name}.token_dim", width, "num_groups", groups)
        if section.text_dim % 2:
            yield f"{name}.text_dim is {section.text_dim}; sine and cosine need an even width."
    if section.num_negatives is not None:
        yield from at_least(0, f"{name}.num_negatives", section.num_negatives)
    for key in ("dropout", "attention_dropout"):
        value = getattr(section, key)
        if value is not None and not 0 <= value < 1:
            yield f"{name}.{key} is {value}; it lies in [0, 1)."


def _check_loss(name: str, section: LossConfig) -> Problems:
    yield from above_zero(f"{name}.positive_weight", section.positive_weight)
    if section.alignment_weight < 0:
        yield f"{name}.alignment_weight is {section.alignment_weight}; it is at least 0."
    yield from in_unit_interval(f"{name}.label_iou", section.label_iou)
    yield from one_of(f"{name}.empty_frames", section.empty_frames, ("count", "skip"))


def _check_optimizer(name: str, section: OptimizerConfig) -> Problems:
    yield from above_zero(f"{name}.lr", section.lr)
    if section.weight_decay < 0:
        yield f"{name}.weight_decay is {section.weight_decay}; it is at least 0."
    yield from one_of(f"{name}.schedule", section.schedule, ("plateau", "cosine"))
    if not 0 < section.plateau_factor < 1:
        yield f"{name}.plateau_factor is {section.plateau_factor}; it lies between 0 and 1."
    for key in ("plateau_patience", "warmup_steps"):
        yield from at_least(0, f"{name}.{key}", getattr(section, key))


def _check_data(name: str, section: DataConfig) -> Problems:
    yield from known_sources(f"{name}.train_sources", section.train_sources)
    yield from known_sources(f"{name}.valid_sources", section.valid_sources)
    yield from one_of(f"{name}.group_by", section.group_by, ("expression", "video"))
    yield from at_least(1, f"{name}.batch_size", section.batch_size)
    if section.max_tokens is not None:
        yield from at_least(1, f"{name}.max_tokens", section.max_tokens)
        if section.batch_size > 1:
            yield (
                f"{name}.batch_size is {section.batch_size}, but {name}.max_tokens says how large "
                f"a step is. Leave {name}.batch_size at 1."
            )
    yield from at_least(1, f"{name}.window", section.window)
    yield from at_least(0, f"{name}.num_workers", section.num_workers)


def _check_trainer(name: str, section: TrainerConfig) -> Problems:
    yield from one_of(f"{name}.accelerator", section.accelerator, ACCELERATORS)
    yield from one_of(f"{name}.strategy", section.strategy, STRATEGIES)
    yield from one_of(f"{name}.precision", section.precision, PRECISIONS)
    for key in ("num_nodes", "max_epochs", "accumulate_grad_batches", "check_val_every_n_epoch"):
        yield from at_least(1, f"{name}.{key}", getattr(section, key))
    if section.devices < 1 and section.devices != -1:
        yield f"{name}.devices is {section.devices}; it is at least 1, or -1 for all there are."
    for key in ("gradient_clip_val", "num_threads"):
        yield from at_least(0, f"{name}.{key}", getattr(section, key))
    if section.early_stopping_patience is not None:
        yield from at_least(1, f"{name}.early_stopping_patience", section.early_stopping_patience)
    if section.checkpoint_every_n_steps is not None:
        yield from at_least(1, f"{name}.checkpoint_every_n_steps", section.checkpoint_every_n_steps)
    if section.checkpoint_every_n_minutes is not None:
        minutes = f"{name}.checkpoint_every_n_minutes"
        yield from above_zero(minutes, section.checkpoint_every_n_minutes)
    if section.ema_decay is not None and not 0 < section.ema_decay < 1:
        yield f"{name}.ema_decay is {section.ema_decay}; it lies between 0 and 1."
    for key in ("limit_train_batches", "limit_val_batches"):
        yield from _check_limit(f"{name}.{key}", getattr(section, key))


def _check_limit(name: str, value: float) -> Problems:
    yield from above_zero(name, value)  # best.ckpt is chosen by validation
    if value > 1 and not float(value).is_integer():
        yield f"{name} is {value}; above 1 it is a number of batches, up to 1 a share of them."


def _check_logger(name: str, section: LoggerConfig) -> Problems:
    yield from one_of(f"{name}.name", section.name, LOGGERS)
    yield from at_least(0, f"{name}.num_examples", section.num_examples)
    for key in ("log_every_n_steps", "examples_every_n_validations", "example_frames"):
        yield from at_least(1, f"{name}.{key}", getattr(section, key))


def known_sources(name: str, sources: list[str]) -> Problems:
    """A list of prompt sources that there are, each once."""
    if not sources:
        yield f"{name} is empty; at least one of {', '.join(PROMPT_SOURCES)} is needed."
    if len(set(sources)) < len(sources):
        yield f"{name} is {sources}: a source is named twice."
    for source in sources:
        yield from one_of(name, source, PROMPT_SOURCES)


CHECKS: dict[type, Callable[[str, Any], Problems]] = {
    DatasetConfig: _check_dataset,
    PromptSourceConfig: check_prompt_source,
    TrackerConfig: _check_tracker,
    TextEncoderConfig: _check_text_encoder,
    SelectorConfig: _check_selector,
    LossConfig: _check_loss,
    OptimizerConfig: _check_optimizer,
    DataConfig: _check_data,
    TrainerConfig: _check_trainer,
    LoggerConfig: _check_logger,
}
