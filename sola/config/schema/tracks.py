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
    """Frames of a video."""
    frame_size_px: int = 128
    """Height and width of a frame."""
    min_objects: int = 2
    """Shapes of a video: at least so many, ..."""
    max_objects: int = 6
    """... and at most so many."""
    expressions_per_video: int = 12
    """Sentences of a video at most; fewer where so many different ones cannot be told."""
    jpeg_quality: int = 90
    """Of the frames on disk: 1 (small files) to 100."""


@dataclass
class DatasetPartConfig:
    """One data set on disk."""

    name: str = MISSING
    """Label of every number and folder name under data/tracks; cannot hold a "/"."""
    layout: str = MISSING
    """How the files lie on disk: mevis, mevis_v2, ref_youtube_vos, ref_davis, moving_shapes (the
    layout of MeViS, made by us), joint (several data sets as one), or your own: its file in
    sola/datasets/, without ".py" (docs/adding_a_dataset.md)."""
    root: str = MISSING
    """Folder of the data set; it may be read-only."""
    train_split: str = "train"
    """The split that train.py learns from."""
    valid_split: str = "valid_u"
    """The split that train.py measures itself on, and that evaluate.py and predict.py take unless
    ``split`` says another."""
    cache_dir: str | None = None
    """Keeps what was found out about a large mask_dict.json; None: nothing is kept."""
    submission_top_dir: str = ""
    """Folder that holds the videos in a zip of masks to hand in; "": they lie at its top."""


@dataclass
class DatasetConfig(DatasetPartConfig):
    """The data set: where it lies, how its files are read, which splits are taken."""

    maker: MovingShapesConfig | None = None
    """How its videos are made, layout moving_shapes only; None: they are on disk."""
    parts: dict[str, DatasetPartConfig] = field(default_factory=dict)
    """Layout joint only: the data sets that are trained on together, by name, validated on the
    first. Each has the keys of dataset but maker and parts."""


@dataclass
class DetectorNetworkConfig:
    """Shape of a GroundingDINO; a folder of transformers brings its own and needs none of this."""

    name: str = MISSING
    """Label of this shape."""
    checkpoint: str = ""
    """Its published weights, a .pth file; ``detector_checkpoint`` follows it."""
    swin_dim: int = 96
    """Channels of the image encoder's first stage, doubled in each of the other three."""
    swin_depths: list[int] = field(default_factory=lambda: [2, 2, 6, 2])
    """Blocks of each of the image encoder's four stages."""
    swin_heads: list[int] = field(default_factory=lambda: [3, 6, 12, 24])
    """Attention heads of each stage."""
    swin_window: int = 7
    """Width and height of an attention window, in patches of the image encoder."""
    hidden_dim: int = 256
    """Channels between the encoders and the boxes."""
    ffn_dim: int = 2048
    """Width of the feed-forward layers between the encoders and the boxes."""
    num_heads: int = 8
    """Attention heads there; an even number that divides hidden_dim."""
    encoder_layers: int = 6
    """Layers in which picture and text see each other."""
    decoder_layers: int = 6
    """Layers that make boxes; at least 2."""
    num_queries: int = 900
    """Boxes proposed for a text, before the threshold."""
    bert_dim: int = 768
    """Width of the text encoder, a BERT."""
    bert_layers: int = 12
    """Its layers."""
    bert_heads: int = 12
    """Its attention heads; they divide bert_dim."""
    bert_ffn_dim: int = 3072
    """Width of its feed-forward layers."""


@dataclass
class PromptSourceConfig:
    """What starts a track: which masks, on which frames, and which of them are dropped."""

    name: str = MISSING
    """Its file in sola/prompts/, without ".py": gt, grid, gdino, or your own."""
    frames: str = "largest"
    """gt: the frames on which an object is prompted: first (on which it is visible), largest (on
    which most of it is), or even (evenly spaced over those on which it is visible)."""
    frames_per_object: int = 1
    """gt: prompts per object; above 1 needs frames=even."""
    frame_stride: int = 4
    """Every frame_stride-th frame is looked at (grid: in the training split, and elsewhere the
    first, the middle and the last; gdino: in all splits); 1: every frame. gt has ``frames``
    instead."""
    max_tracks: int | None = None
    """Cap on the tracks of one video (gdino: of one expression); None: no cap."""
    part_overlap: float = 0.7
    """grid: a mask with more than this share of its area inside a larger one of the frame is a
    part, and dropped."""
    duplicate_iou: float = 0.7
    """A prompt whose IoU with a finished track, on the prompt's frame, is above this is a
    duplicate, and dropped."""
    group_size: int = 4
    """Prompts of one frame tracked together (part of the rule: duplicates are looked for after)."""
    group_size_long: int = 2
    """The same in long videos; smaller, as more frames need more memory."""
    long_video_frames: int = 200
    """Videos with more frames than this are long."""
    detector: str = "transformers"
    """gdino, as all below: transformers, or groundingdino (the original code, an extra)."""
    detector_checkpoint: str | None = None
    """gdino needs one: a .pth file of the original code, a folder of transformers, or "random"
    (untrained)."""
    detector_network: DetectorNetworkConfig | None = None
    """Of a .pth file and of random weights; a folder says itself what it holds."""
    detector_vocabulary: str | None = None
    """Folder, model name or "package:..." with a BERT vocabulary; None: that of the checkpoint's
    folder, and bert-base-uncased for a .pth file or random weights."""
    shortest_edge_px: int = 800
    """For the detector, a frame's shorter edge is resized to so many pixels, ..."""
    longest_edge_px: int = 1333
    """... or its longer edge to so many, whichever makes the frame smaller; at least
    shortest_edge_px."""
    box_threshold: float = 0.2
    """A box is kept when its best token score (0 to 1) is above this."""
    text_threshold: float = 0.25
    """A token with a score above this belongs to the phrase that a box is stored with."""
    stability_threshold: float = 0.85
    """A box's mask is kept when its stability score (0 to 1, as in mask_generator) is at least
    this."""
    options: dict[str, Any] = field(default_factory=dict)
    """Arguments of a source that none of the above is, by name (docs/adding_a_prompt_source.md)."""


@dataclass
class MaskGeneratorConfig:
    """SAM 2's automatic mask generator; the defaults are the library's."""

    points_per_side: int = 32
    """A frame is prompted at points_per_side x points_per_side points."""
    points_per_batch: int = 64
    """Points that go through the mask decoder at a time: more are faster and need more memory."""
    pred_iou_thresh: float = 0.8
    """A mask is kept when the IoU that SAM 2 predicts for it is above this; 0 keeps all."""
    stability_score_thresh: float = 0.95
    """A mask is kept when its stability score is at least this; 0 keeps all."""
    stability_score_offset: float = 1.0
    """The stability score is the IoU of the two masks that the logits give at this threshold and at
    its negative."""
    box_nms_thresh: float = 0.7
    """Of two masks whose boxes have an IoU above this, the one of lower predicted IoU is
    dropped."""
    multimask_output: bool = True
    """Whether a point gives three masks (part, whole, more) or one."""


@dataclass
class TrackerConfig:
    """SAM 2: the network that follows a mask through a video."""

    name: str = MISSING
    """Label of its folders under data/tracks and data/prompts, and in checkpoints of selectors."""
    packaged_model: str = MISSING
    """YAML file of the network: one inside the sam2 package, such as sam2.1/sam2.1_hiera_l.yaml, a
    path, or a resource of an installed package, such as pkg://sola.trackers.small/network.yaml."""
    checkpoint: str = MISSING
    """A file of SAM 2's format ({"model": state dict}), a pkg:// resource, or "random": untrained
    weights, drawn by seed."""
    token_dim: int = 256
    """D, width of an object token; a property of the network."""
    fill_hole_area: int = 0
    """Largest hole of a mask (pixels) that SAM 2 fills; 0: none is filled. Above 0 it needs SAM 2's
    CUDA extension."""
    feature_budget_mib: float = 4096
    """Memory (MiB) for the image features of one video; frames beyond it are encoded in every pass,
    with the same result."""
    compile: bool = False
    """Whether torch compiles the network; takes minutes at first and changes tracks by rounding."""
    mask_generator: MaskGeneratorConfig = field(default_factory=MaskGeneratorConfig)
    """Automatic masks, of prompt_source=grid."""
