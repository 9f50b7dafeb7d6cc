"""What tracks are made of: a data set, a prompt source, a tracker."""

from dataclasses import dataclass, field
from typing import Any

from omegaconf import MISSING


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
